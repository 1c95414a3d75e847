"""Sanic's own server, whose manager starts the worker. Run: sanic matrix.sanic_app:app --port 8000"""

from sanic import Request, Sanic, response

import truth
from matrix.styles import STYLES

app = Sanic("matrix")
app.config.USE_UVLOOP = False
truth.count_steps()


@app.get("/<style>/<identity>")
async def serve(request: Request, style: str, identity: str) -> response.HTTPResponse:
    with truth.serving(request.path) as served:
        await STYLES[style](served, request.args.get("model"))
    return response.text("done")


truth.settle()
