"""The ways in which a thread has work done for its request: each asks the vendor, by another way of concurrency."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import urllib3
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


def urllib3_pool(request: truth.Request, model: str) -> None:
    """A pool of urllib3 that all threads share, with fewer connections than they want."""
    call, question = work.question(request, model)
    answer = pool.request(
        "POST", work.URL, json={"stream": True, **question}, headers=work.HEADERS, preload_content=False
    )
    for _ in answer.stream():
        call.chunk()
    answer.release_conn()
    call.end()


pool = urllib3.PoolManager(maxsize=4, block=True, ca_certs=os.environ["SSL_CERT_FILE"])


def loop(request: truth.Request, model: str) -> None:
    async def asked() -> None:
        async with AsyncOpenAI(max_retries=0, timeout=300) as own:
            await asyncio.gather(*(work.ask_async(own, request, model) for _ in range(2)))

    asyncio.run(asked())


STYLES = {style.__name__: style for style in (ask, submit, pool_of_its_own, thread, child, loop, urllib3_pool)}
