"""Sleeps that are woken again and again for something that is gone by then, so that the kernel lets them go on.

`in_vain.py sleep FIFO` sleeps in a poll and in an event loop; `in_vain.py wake FIFO` is another process, which wakes it
and takes back what it woke it with.
"""

import asyncio
import os
import select
import sys
import time

import truth

SLEEP_S = 0.45
WAKE_EVERY_S = 0.1


def sleep(fifo: int) -> None:
    with truth.run("in_vain") as this:
        start_ns, queued_ns = truth.now_ns(), truth.in_queue_ns()
        poll = select.poll()
        poll.register(fifo, select.POLLIN)
        for _ in range(4):
            if poll.poll(SLEEP_S * 1000):
                sys.exit("woken for something")
        asyncio.run(sleep_in_loop(fifo))
        waited_ns = truth.now_ns() - start_ns - (truth.in_queue_ns() - queued_ns)
        this.waits["wait.sleep"] = waited_ns


async def sleep_in_loop(fifo: int) -> None:
    asyncio.get_running_loop().add_reader(fifo, lambda: sys.exit("woken for something"))
    for _ in range(4):
        await asyncio.sleep(SLEEP_S)


def wake(fifo: int) -> None:
    # Whoever is woken has to wait for the CPU until that is taken back.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    while True:
        time.sleep(WAKE_EVERY_S)
        os.write(fifo, b".")
        os.read(fifo, 1)


os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
role, path = sys.argv[1:]
{"sleep": sleep, "wake": wake}[role](os.open(path, os.O_RDWR | os.O_NONBLOCK))
