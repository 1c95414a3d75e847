"""aiohttp's own server. Run: python -m aiohttp.web -H 127.0.0.1 -P 8000 matrix.aiohttp_app:make"""

from aiohttp import web

import truth
from matrix.styles import STYLES


async def serve(request: web.Request) -> web.Response:
    with truth.serving(request.path) as served:
        await STYLES[request.match_info["style"]](served, request.query["model"])
    return web.Response(text="done")


def make(_arguments: list) -> web.Application:
    app = web.Application()
    app.router.add_get("/{style}/{identity}", serve)
    truth.count_steps()
    truth.settle()
    return app
