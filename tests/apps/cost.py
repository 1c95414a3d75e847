"""Work whose cost under the tracer is measured: for each line on stdin, does it once and prints how long it took. Run: cost.py loop"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time

LOOP_STEPS = 4_000_000
THREAD_ROUNDS = 8_000


def loop() -> None:
    """Nothing but steps of an event loop."""

    async def spin() -> None:
        for _ in range(LOOP_STEPS // 100):
            await asyncio.sleep(0)

    async def spin_all() -> None:
        await asyncio.gather(*(spin() for _ in range(100)))

    asyncio.run(spin_all())


def threads() -> None:
    """Four threads that compute, and so hand the GIL to each other."""
    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compute() -> None:
    odd = 0
    for _ in range(THREAD_ROUNDS):
        for i in range(1000):
            odd += i & 1


work = {"loop": loop, "threads": threads}[sys.argv[1]]
for _ in sys.stdin:
    start_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    work()
    print(
        json.dumps({"wall_ns": time.monotonic_ns() - start_ns, "cpu_ns": time.process_time_ns() - cpu_ns}),
        flush=True,
    )
