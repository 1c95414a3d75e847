"""FastAPI whose endpoints and dependencies are plain functions, which run in anyio's threads. Run: uvicorn matrix.fastapi_def:app"""

from typing import Callable

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse

import truth
from matrix.sync_styles import STYLES

app = FastAPI()
app.add_middleware(truth.Middleware)


def chosen(style: str) -> Callable:
    return STYLES[style]


@app.get("/{style}/{identity}", response_class=PlainTextResponse)
def serve(model: str, ask: Callable = Depends(chosen)) -> str:  # noqa: B008
    request = truth.current()
    with truth.thread_of(request):
        ask(request, model)
    return "done"


truth.settle()
