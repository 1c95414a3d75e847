"""Sleeps in coroutines that await each other, few and many, and in what else they may await."""

import asyncio

NAP_S = 0.05


async def main() -> None:
    # As long as a stripped interpreter takes to be searched.
    await asyncio.sleep(0.5)
    for depth in 0, 5, 60:
        await deeper(depth)
    async for _ in numbers():
        pass
    await Passed()
    await Delegated()
    # As long as names are read of what runs.
    await asyncio.sleep(0.5)


async def deeper(depth: int) -> None:
    # Values that are on the frame's stack beside what it awaits.
    for less in (1,):
        if depth:
            await deeper(depth - less)
        else:
            await asyncio.sleep(NAP_S)
            await asyncio.wait([asyncio.ensure_future(doze())])


async def doze() -> None:
    await asyncio.sleep(NAP_S)


async def numbers():
    await asyncio.sleep(NAP_S)
    yield 1


class Passed:
    def __await__(self):
        return doze().__await__()


class Delegated:
    def __await__(self):
        yield from doze().__await__()


asyncio.run(main())
