"""A route for each trouble that a finding tells of, and one that has none. Run: uvicorn troubles:app"""

import asyncio
import functools
import gc
import hashlib
import json
import os
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
from fastapi import FastAPI
from openai import AsyncOpenAI, OpenAI

import truth
import work

app = FastAPI()
app.add_middleware(truth.Middleware)
client = AsyncOpenAI()
blocking_client = OpenAI()
small_pool = AsyncOpenAI(http_client=httpx.AsyncClient(limits=httpx.Limits(max_connections=2), timeout=60))
one_thread = ThreadPoolExecutor(1)
many_threads = ThreadPoolExecutor(4 * (os.cpu_count() or 1))
contended = threading.Lock()
only_one = asyncio.Lock()
scratch = tempfile.TemporaryFile()
document = {"rows": [{"id": row, "name": f"row {row}", "values": [row / 7] * 8} for row in range(4_000)]}
text = "It isn't what a tokenizer of a vendor does, but it's as slow. " * 8_000
word = re.compile(r"'\w+|\w+|[^\s\w]+")


def hold() -> None:
    """Has the lock most of the time."""
    while True:
        with contended:
            time.sleep(0.1)
        time.sleep(0.002)


threading.Thread(target=hold, daemon=True).start()
truth.settle()

SELDOM = ("statistics", "pickletools", "mailbox", "xmlrpc", "pydoc")
MODEL = "ttft=80-120,gap=10,n=5"


@app.get("/none/{identity}")
async def none(identity: str) -> str:
    """One client for all, and nothing else to do."""
    return await work.ask_async(client, truth.current(), MODEL)


@app.get("/client_for_each/{identity}")
async def client_for_each(identity: str) -> str:
    async with AsyncOpenAI() as own:
        return await work.ask_async(own, truth.current(), MODEL)


@app.get("/small_pool/{identity}")
async def wait_for_connection(identity: str) -> str:
    return await work.ask_async(small_pool, truth.current(), MODEL)


@app.get("/synchronous/{identity}")
async def synchronous(identity: str) -> str:
    return work.ask(blocking_client, truth.current(), MODEL)


@app.get("/in_thread/{identity}")
async def in_thread(identity: str) -> str:
    return await asyncio.to_thread(work.ask, blocking_client, truth.current(), MODEL)


@app.get("/in_turn/{identity}")
async def in_turn(identity: str) -> list[str]:
    request = truth.current()
    return [await work.ask_async(client, request, MODEL) for _ in range(3)]


@app.get("/at_once/{identity}")
async def at_once(identity: str) -> list[str]:
    request = truth.current()
    return await asyncio.gather(*(work.ask_async(client, request, MODEL) for _ in range(3)))


@app.get("/limited/{identity}")
async def limited(identity: str) -> str:
    return await work.ask_async(client, truth.current(), f"{MODEL},fail=1,status=429,retry_after=1")


@app.get("/failing/{identity}")
async def failing(identity: str) -> str:
    return await work.ask_async(client, truth.current(), f"{MODEL},fail=1,status=503")


@app.get("/read_late/{identity}")
async def read_late(identity: str) -> str:
    """Works on each word for longer than the vendor takes to send the next."""
    async for _ in work.stream(client, truth.current(), "ttft=80-120,gap=10,n=20"):
        work.burn(25)
    return "done"


@app.get("/pause/{identity}")
async def pause(identity: str) -> str:
    """Longer than the client keeps a connection that nobody uses."""
    request = truth.current()
    await work.ask_async(client, request, MODEL)
    await asyncio.sleep(6)
    return await work.ask_async(client, request, MODEL)


@app.get("/small_executor/{identity}")
async def small_executor(identity: str) -> None:
    """A pool with one thread for all."""
    await asyncio.get_running_loop().run_in_executor(one_thread, time.sleep, 0.05)


@app.get("/collecting/{identity}")
async def collecting(identity: str) -> None:
    """Collections that look at a million objects, which `truth.settle` did not exempt from them."""
    objects = [[] for _ in range(1_000_000)]
    for _ in range(3):
        gc.collect()
    del objects


@app.get("/compute/{identity}")
async def compute(identity: str) -> str:
    return work.burn(50)


@app.get("/file/{identity}")
async def file(identity: str) -> None:
    """Waits for the disk."""
    for _ in range(100):
        os.pwrite(scratch.fileno(), bytes(1 << 18), 0)
        os.fsync(scratch.fileno())


@app.get("/asleep/{identity}")
async def asleep(identity: str) -> None:
    time.sleep(0.1)


@app.get("/lock/{identity}")
async def lock(identity: str) -> None:
    """Waits for the lock each time: between two holds it is free for moments, in which several requests would get through."""
    while not contended.locked():
        time.sleep(0.001)
    with contended:
        pass


@app.get("/polling/{identity}")
async def polling(identity: str) -> None:
    """Asks again and again whether something is done."""
    done_ns = truth.now_ns() + 200_000_000
    while truth.now_ns() < done_ns:
        await asyncio.sleep(0.02)


@app.get("/one_at_a_time/{identity}")
async def one_at_a_time(identity: str) -> str:
    """Keeps others out while the vendor answers."""
    async with only_one:
        return await work.ask_async(client, truth.current(), MODEL)


@app.get("/lookup/{identity}")
async def lookup(identity: str) -> str:
    return work.ask(OpenAI(), truth.current(), MODEL)


@app.get("/json/{identity}")
async def encode(identity: str) -> int:
    return len(json.loads(json.dumps(document))["rows"])


@app.get("/tokenizer/{identity}")
async def count(identity: str) -> int:
    return count_tokens(text)


def count_tokens(of: str) -> int:
    return sum(1 for _ in word.finditer(of))


@app.get("/gil/{identity}")
def gil(identity: str) -> str:
    """Computes on a thread of its own, as others do at the same time."""
    return work.burn(100)


@app.get("/run_queue/{identity}")
async def run_queue(identity: str) -> None:
    """Keeps a CPU busy without the GIL, as others do at the same time."""
    hashing = functools.partial(hashlib.pbkdf2_hmac, "sha256", b"word", b"salt", 300_000)
    await asyncio.get_running_loop().run_in_executor(many_threads, hashing)


@app.get("/many_tasks/{identity}")
async def many_tasks(identity: str) -> None:
    await asyncio.gather(*(asyncio.sleep(0.2) for _ in range(1_000)))


@app.get("/importing/{identity}")
async def importing(identity: str) -> None:
    """Imports what no other request did, and as if that were large."""
    for _ in range(8):
        for name in [name for name in sys.modules if name.startswith(SELDOM)]:
            del sys.modules[name]
        for name in SELDOM:
            __import__(name)
