"""Steps, threads and collections until SIGTERM; then says whether all came out right. For tracers that come and go."""

import asyncio
import gc
import signal
import sys


async def square(number: int) -> int:
    await asyncio.sleep(0)
    return await asyncio.to_thread(pow, number, 2)


async def main() -> bool:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print("ready", flush=True)
    right = True
    while not ended.is_set():
        squares = await asyncio.gather(*(square(number) for number in range(10)))
        right = right and squares == [number * number for number in range(10)]
        gc.collect()
        # Whoever comes and goes needs a CPU as well.
        await asyncio.sleep(0.05)
    return right


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
