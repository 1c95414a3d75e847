"""A service that asks another one of its kind, and passes the trace on as instrumented applications do: with a span of its own
around the call, in the trace that came or in one that it begins. `BACK` is where the other one is. Run: uvicorn hops:app"""

from __future__ import annotations

import os
import secrets

import aiohttp
from fastapi import FastAPI, Request

app = FastAPI()
session: aiohttp.ClientSession | None = None


@app.get("/front/{identity}")
async def front(identity: str, request: Request) -> str:
    """Gives what it sent on."""
    global session
    if session is None:
        session = aiohttp.ClientSession()
    came = request.headers.get("traceparent")
    trace = came.split("-")[1] if came else secrets.token_hex(16)
    sent = f"00-{trace}-{secrets.token_hex(8)}-01"
    url = f"{os.environ['BACK']}/back/{identity}"
    async with session.get(url, headers={"traceparent": sent}, raise_for_status=True) as answer:
        await answer.read()
    return sent


@app.get("/back/{identity}")
async def back(identity: str) -> str:
    return identity
