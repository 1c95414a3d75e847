"""An event loop that does nothing but steps, until it is ended."""

import asyncio


async def spin() -> None:
    while True:
        await asyncio.sleep(0)


asyncio.run(spin())
