"""aiohttp's own server. Run: python -m matrix.aiohttp_app 8000"""

import sys

from aiohttp import web

import truth
from matrix.styles import STYLES


async def serve(request: web.Request) -> web.Response:
    with truth.serving(request.path) as served:
        await STYLES[request.match_info["style"]](served, request.query["model"])
    return web.Response(text="done")


app = web.Application()
app.router.add_get("/{style}/{identity}", serve)
truth.count_steps()
truth.settle()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), backlog=2048, print=None)
