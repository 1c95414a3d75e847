"""A run that calls the vendor from several places, and says on stderr which lines of this file made each call, the innermost first."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request

from openai import AsyncOpenAI, OpenAI

import work

try:
    import aiohttp
except ImportError:
    aiohttp = None

ASKED = {"model": "ttft=20,n=2", "messages": [{"role": "user", "content": "?"}]}


def here() -> None:
    """What asks on the same line, next."""
    frame, places = sys._getframe(1), []
    while frame:
        if frame.f_code.co_filename == __file__:
            places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    print("asked by", *places, file=sys.stderr)


def synchronous(client: OpenAI) -> None:
    for _ in range(2):
        _ = here(), client.chat.completions.create(**ASKED)


class Agent:
    def __init__(self, client: AsyncOpenAI) -> None:
        self.client = client

    async def ask(self) -> None:
        _ = here(), await self.client.chat.completions.create(**ASKED)

    async def think(self) -> None:
        try:
            await self.ask()
        finally:
            [await self.ask() for _ in range(1)]


async def by_aiohttp() -> None:
    async with aiohttp.ClientSession() as session:
        _ = here(), await session.post(work.URL, headers=work.HEADERS, json=ASKED)


def by_urllib() -> None:
    data = json.dumps(ASKED).encode()
    headers = {**work.HEADERS, "content-type": "application/json"}
    request = urllib.request.Request(work.URL, data, headers)
    _ = here(), urllib.request.urlopen(request).read()


async def main() -> None:
    async with AsyncOpenAI() as client:
        await Agent(client).think()
        await asyncio.create_task(Agent(client).ask())
    # Before tasks are eager, aiohttp sends from a task of its own.
    if aiohttp is not None and sys.version_info >= (3, 12):
        await by_aiohttp()


synchronous(OpenAI())
by_urllib()
asyncio.run(main())
