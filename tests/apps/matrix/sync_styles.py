"""The ways in which a thread has work done for its request: each asks the vendor, by another way of concurrency."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from openai import AsyncOpenAI, OpenAI

import truth
import work

client = OpenAI(max_retries=0, timeout=300)
shared_pool = ThreadPoolExecutor(8)


def ask(request: truth.Request, model: str) -> str:
    return work.ask(client, request, model)


def ask_in_thread(request: truth.Request, model: str) -> None:
    with truth.thread_of(request):
        ask(request, model)


def submit(request: truth.Request, model: str) -> None:
    """A pool that all requests of a process share."""
    shared_pool.submit(ask_in_thread, request, model).result()


def pool_of_its_own(request: truth.Request, model: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(ask_in_thread, request, model)


def thread(request: truth.Request, model: str) -> None:
    thread = threading.Thread(target=ask_in_thread, args=(request, model))
    thread.start()
    thread.join()


def child(request: truth.Request, model: str) -> None:
    """Another program asks, for the request that started it."""
    command = [sys.executable, "-m", "matrix.child", request.call().name, model]
    request.has_children = True
    subprocess.check_call(command)


def loop(request: truth.Request, model: str) -> None:
    async def asked() -> None:
        async with AsyncOpenAI(max_retries=0, timeout=300) as own:
            await asyncio.gather(*(work.ask_async(own, request, model) for _ in range(2)))

    asyncio.run(asked())


STYLES = {style.__name__: style for style in (ask, submit, pool_of_its_own, thread, child, loop)}
