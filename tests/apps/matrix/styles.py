"""The ways in which a coroutine has work done for its request: each asks the vendor, by another way of concurrency."""

import asyncio
import contextvars
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.from_thread
import anyio.to_thread
from openai import AsyncOpenAI, OpenAI
from sqlalchemy.util import await_only, greenlet_spawn

try:
    # What newer SDKs are made with.
    import httpx2 as httpx
except ImportError:
    import httpx

try:
    import aiohttp
except ImportError:
    # There is none for free-threaded and musl builds.
    aiohttp = None

import truth
import work

client = AsyncOpenAI(max_retries=0, timeout=300)
sync_client = OpenAI(max_retries=0, timeout=300)
pool = ThreadPoolExecutor(8)


async def ask(request: truth.Request, model: str) -> str:
    return await work.ask_async(client, request, model)


def ask_in_thread(request: truth.Request, model: str) -> str:
    with truth.thread_of(request):
        return work.ask(sync_client, request, model)


async def awaited(request: truth.Request, model: str) -> None:
    await ask(request, model)


async def gather(request: truth.Request, model: str) -> None:
    await asyncio.gather(*(ask(request, model) for _ in range(3)))


async def create_task(request: truth.Request, model: str) -> None:
    await asyncio.create_task(ask(request, model))


async def task_group(request: truth.Request, model: str) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(ask(request, model))


async def eager(request: truth.Request, model: str) -> None:
    await asyncio.Task(ask(request, model), loop=asyncio.get_running_loop(), eager_start=True)


async def wait_for(request: truth.Request, model: str) -> None:
    await asyncio.wait_for(ask(request, model), 60)


async def nested_run(request: truth.Request, model: str) -> None:
    """A context in a context, as frameworks have it."""
    outer = contextvars.copy_context()
    task = outer.run(lambda: contextvars.copy_context().run(asyncio.ensure_future, ask(request, model)))
    await task


async def anyio_group(request: truth.Request, model: str) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(ask, request, model)


async def to_thread(request: truth.Request, model: str) -> None:
    await asyncio.to_thread(ask_in_thread, request, model)


async def executor(request: truth.Request, model: str) -> None:
    """The loop's pool, which knows nothing of contexts."""
    await asyncio.get_running_loop().run_in_executor(None, ask_in_thread, request, model)


async def own_pool(request: truth.Request, model: str) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, ask_in_thread, request, model)


async def thread(request: truth.Request, model: str) -> None:
    """A thread that says when it is done by call_soon_threadsafe."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        ask_in_thread(request, model)
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run).start()
    await done.wait()


async def anyio_thread(request: truth.Request, model: str) -> None:
    await anyio.to_thread.run_sync(ask_in_thread, request, model)


async def from_thread(request: truth.Request, model: str) -> None:
    """A thread that has the loop ask."""
    await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(ask, request, model))


async def loop_in_thread(request: truth.Request, model: str) -> None:
    async def asked() -> None:
        async with AsyncOpenAI(max_retries=0, timeout=300) as own:
            await work.ask_async(own, request, model)

    def run() -> None:
        with truth.thread_of(request):
            asyncio.run(asked())

    await anyio.to_thread.run_sync(run)


async def subprocess(request: truth.Request, model: str) -> None:
    """Another program asks, for the request that started it."""
    command = [sys.executable, "-m", "matrix.child", request.call().name, model]
    request.has_children = True
    child = await asyncio.create_subprocess_exec(*command)
    if await child.wait() != 0:
        raise RuntimeError("the child failed")


few = AsyncOpenAI(
    max_retries=0, timeout=300, http_client=httpx.AsyncClient(limits=httpx.Limits(max_connections=2))
)


async def exhausted_pool(request: truth.Request, model: str) -> None:
    """A client with fewer connections than requests want."""
    await work.ask_async(few, request, model)


async def aiohttp_pool(request: truth.Request, model: str) -> None:
    """A session of aiohttp that all requests share, with fewer connections than they want."""
    if not sessions:
        sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8)))
    call, question = work.question(request, model)
    async with sessions[0].post(work.URL, json={"stream": True, **question}, headers=work.HEADERS) as answer:
        async for _ in answer.content:
            call.chunk()
    call.end()


sessions = []


async def semaphore(request: truth.Request, model: str) -> None:
    """As many calls at a time as a limit of the application's own lets through."""
    # Up to 3.9 it belongs to the loop that runs when it is made.
    if not limits:
        limits.append(asyncio.Semaphore(4))
    async with limits[0]:
        await ask(request, model)


limits = []

through_proxy = AsyncOpenAI(
    max_retries=0, timeout=300, http_client=httpx.AsyncClient(proxy="http://127.0.0.1:3128")
)


async def proxied(request: truth.Request, model: str) -> None:
    """Through a tunnel that a proxy opens."""
    await work.ask_async(through_proxy, request, model)


async def cancelled(request: truth.Request, model: str) -> None:
    """A call that is given up in the middle, and another one."""
    try:
        await asyncio.wait_for(ask(request, model), 0.05)
    except (TimeoutError, asyncio.TimeoutError):
        pass
    await ask(request, model)


tasks = set()


async def background(request: truth.Request, model: str) -> None:
    """A task that begins to ask when the request is answered."""

    async def later() -> None:
        while not request.is_answered:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        await ask(request, model)

    task = asyncio.create_task(later())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def background_thread(request: truth.Request, model: str) -> None:
    """The same in a thread of a pool."""

    def later() -> None:
        while not request.is_answered:
            time.sleep(0.01)
        time.sleep(0.01)
        work.ask(sync_client, request, model)

    pool.submit(later)


async def greenlet(request: truth.Request, model: str) -> None:
    """SQLAlchemy's bridge: synchronous code in a greenlet that awaits."""
    await greenlet_spawn(lambda: await_only(ask(request, model)))


async def queued(request: truth.Request, model: str) -> None:
    """Tasks that the first request starts, and that work for all."""
    if not workers:
        jobs.append(asyncio.Queue())
        workers.extend(asyncio.create_task(take_turns()) for _ in range(4))
    answer = asyncio.get_running_loop().create_future()
    jobs[0].put_nowait((answer, request, model))
    await answer


async def take_turns() -> None:
    while True:
        answer, request, model = await jobs[0].get()
        answer.set_result(await ask(request, model))


async def left_in_queue(request: truth.Request, model: str) -> None:
    """The same, of which nobody waits for a result."""
    if not takers:
        orders.append(asyncio.Queue())
        takers.extend(asyncio.create_task(take_orders()) for _ in range(4))
    # They wait before there is something: until then they look like tasks of the request that starts them.
    await asyncio.sleep(0)
    orders[0].put_nowait((request, model))


async def take_orders() -> None:
    while True:
        await ask(*await orders[0].get())


# Up to 3.9 a queue belongs to the loop that runs when it is made.
jobs, workers = [], []
orders, takers = [], []


STYLES = {
    style.__name__: style
    for style in (
        awaited,
        gather,
        create_task,
        wait_for,
        nested_run,
        anyio_group,
        executor,
        own_pool,
        thread,
        anyio_thread,
        from_thread,
        loop_in_thread,
        subprocess,
        exhausted_pool,
        semaphore,
        proxied,
        cancelled,
        background,
        background_thread,
        greenlet,
        queued,
        left_in_queue,
    )
}
if aiohttp is not None:
    STYLES["aiohttp_pool"] = aiohttp_pool
if sys.version_info >= (3, 9):
    STYLES["to_thread"] = to_thread
if sys.version_info >= (3, 11):
    STYLES["task_group"] = task_group
if sys.version_info >= (3, 12):
    STYLES["eager"] = eager
