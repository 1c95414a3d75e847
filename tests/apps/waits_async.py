"""Each route waits for one thing, and logs for how long. Run: uvicorn waits_async:app"""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI

import truth
import work


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    neighbour = asyncio.create_task(keep_the_loop())
    yield
    neighbour.cancel()


app = FastAPI(lifespan=lifespan)
app.add_middleware(truth.Middleware)
# One thread, so that who comes second waits for it.
pool = ThreadPoolExecutor(1)
free_since_ns = 0
loop_wanted = asyncio.Event()
only_one = asyncio.Lock()
released_ns = 0
truth.settle()


@app.get("/sleep/{identity}")
async def sleep(identity: str) -> str:
    # What comes after is the loop's or the CPU's.
    await asyncio.sleep(0.1)
    add("wait.sleep", 100_000_000)
    return "done"


@app.get("/lock/{identity}")
async def lock(identity: str) -> str:
    """Waits until another request gives the lock back."""
    global released_ns
    start_ns = truth.now_ns()
    is_taken = only_one.locked()
    async with only_one:
        if is_taken:
            add("wait.lock", released_ns - start_ns)
        await asyncio.sleep(0.05)
        add("wait.sleep", 50_000_000)
        released_ns = truth.now_ns()
    return "done"


@app.get("/executor/{identity}")
async def executor(identity: str) -> str:
    """As asyncio.to_thread does it, which has no pool to choose."""
    context = contextvars.copy_context()
    await asyncio.get_running_loop().run_in_executor(pool, context.run, hold_the_thread, truth.now_ns())
    return "done"


@app.get("/loop/{identity}")
async def loop(identity: str) -> str:
    """Could go on at once, but another task is before it, and computes."""
    loop_wanted.set()
    start_ns = truth.now_ns()
    await asyncio.sleep(0)
    add("wait.loop", truth.now_ns() - start_ns)
    return "done"


@app.get("/mixed/{identity}")
async def mixed(identity: str) -> str:
    await sleep(identity)
    await executor(identity)
    return "done"


@app.get("/alone/{identity}")
async def alone(identity: str) -> str:
    """One at a time, as others would wait for its loop, which they can't know."""
    await loop(identity)
    return await mixed(identity)


async def keep_the_loop() -> None:
    while True:
        await loop_wanted.wait()
        loop_wanted.clear()
        work.burn(20)


def hold_the_thread(submitted_ns: int) -> None:
    """Waits for the thread only as long as it does something else: then it is the CPU or the GIL that lacks."""
    global free_since_ns
    add("wait.executor", max(free_since_ns - submitted_ns, 0))
    time.sleep(0.05)
    add("wait.sleep", 50_000_000)
    free_since_ns = truth.now_ns()


def add(bucket: str, ns: int) -> None:
    waits = truth.current().waits
    waits[bucket] = waits.get(bucket, 0) + ns
