"""As little as passing a vendor's words on can cost, for loads that an SDK is too slow for. Run: uvicorn relay:app"""

from __future__ import annotations

import os
import ssl
from urllib.parse import parse_qs

import aiohttp

import work

# One for the process: its pool is bounded by what the vendor is asked at once.
session: aiohttp.ClientSession | None = None


async def app(scope: dict, receive, send) -> None:
    global session
    if scope["type"] != "http":
        return
    if session is None:
        trusted = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=trusted))
    name = scope["path"].rsplit("/", 1)[-1]
    model = parse_qs(scope["query_string"].decode())["model"][0]
    asked = {"model": model, "user": name, "stream": True, "messages": [{"role": "user", "content": "?"}]}
    async with session.post(work.URL, headers=work.HEADERS, json=asked) as answer:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async for chunk in answer.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
