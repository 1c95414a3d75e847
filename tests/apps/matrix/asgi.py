"""Starlette. Run: uvicorn matrix.asgi:app, or by hypercorn, or by gunicorn with uvicorn's workers"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import truth
from matrix.styles import STYLES


async def serve(request: Request) -> PlainTextResponse:
    await STYLES[request.path_params["style"]](truth.current(), request.query_params["model"])
    return PlainTextResponse("done")


app = truth.Middleware(Starlette(routes=[Route("/{style}/{identity}", serve)]))
truth.settle()
