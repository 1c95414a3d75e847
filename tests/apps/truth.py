"""What an application knows about its own time: a line of JSON for each request, in the file that TRUTH_FILE names.

Times are CLOCK_MONOTONIC in ns. `cpu_ns` is CPU of the thread (time.thread_time_ns), and in a coroutine the sum over its steps, for
everything that runs in a context of the request; null where that can't be counted, under uvloop and gevent.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "lab"))
from log import Log  # noqa: E402

now_ns = time.monotonic_ns

_current: contextvars.ContextVar["Request | None"] = contextvars.ContextVar("request", default=None)
_log = Log(os.environ["TRUTH_FILE"]) if "TRUTH_FILE" in os.environ else None


class Request:
    def __init__(self, identity: str, route: str) -> None:
        self.id = identity
        self.route = route
        self.start_ns = now_ns()
        self.cpu_ns: int | None = 0
        # Programs work for it whose CPU time nobody here knows.
        self.has_children = False
        self.is_answered = False
        self.calls: list[Call] = []
        # By bucket, where the application knows.
        self.waits: dict[str, int] = {}
        self.pid = os.getpid()
        self.tid = threading.get_native_id()

    def call(self) -> "Call":
        """A call to the vendor that starts now; its name goes to the vendor as the field `user`."""
        maker = f"{self.id}/background" if self.is_answered else self.id
        call = Call(f"{maker}/{len(self.calls)}")
        self.calls.append(call)
        return call

    def end(self) -> None:
        self.is_answered = True
        if _log is None:
            return
        calls = [vars(call) for call in self.calls]
        cpu_ns = None if self.has_children else self.cpu_ns
        _log.write("request", **{**vars(self), "calls": calls, "cpu_ns": cpu_ns, "end_ns": now_ns()})


class Call:
    def __init__(self, name: str) -> None:
        self.name = name
        self.start_ns = now_ns()
        self.first_chunk_ns: int | None = None
        self.end_ns: int | None = None
        self.chunks = 0
        self.error: str | None = None

    def chunk(self) -> None:
        self.first_chunk_ns = self.first_chunk_ns or now_ns()
        self.chunks += 1

    def end(self, error: Exception | None = None) -> None:
        self.end_ns = now_ns()
        self.error = error and type(error).__name__


@contextmanager
def run(identity: str):
    """The truth of a whole process, from its start: a run is one request, imports and all."""
    request = Request(identity, identity)
    try:
        yield request
    finally:
        request.cpu_ns = time.process_time_ns()
        request.end()


def in_queue_ns() -> int:
    """How long this thread waited for a CPU up to now (Documentation/scheduler/sched-stats.rst)."""
    _, queued_ns, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return int(queued_ns)


def settle() -> None:
    """What is imported by now is never collected: a collection that happens to run outside of what the truth covers is short."""
    gc.collect()
    gc.freeze()


class Wsgi:
    """The truth of each request of a WSGI application, framework and all; paths are /ROUTE/ID."""

    def __init__(self, app, counts_cpu: bool = True) -> None:
        self._app = app
        self._counts_cpu = counts_cpu

    def __call__(self, environ, start_response):
        _, route, identity = environ["PATH_INFO"].split("/", 2)
        request = Request(identity, f"/{route}")
        _current.set(request)
        try:
            with thread_of(request):
                return list(self._app(environ, start_response))
        finally:
            if not self._counts_cpu:
                request.cpu_ns = None
            request.end()


class Middleware:
    """The truth of each request of an ASGI application; paths are /ROUTE/ID."""

    def __init__(self, app) -> None:
        self._app = app
        count_steps()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with serving(scope["path"]):
            await self._app(scope, receive, send)


@contextmanager
def serving(path: str):
    """The truth of a request while a coroutine serves it; `path` is /ROUTE/ID. Needs `count_steps`."""
    _, route, identity = path.split("/", 2)
    request = Request(identity, f"/{route}")
    _current.set(request)
    try:
        yield request
    finally:
        # The task may go on with the connection's next request.
        _current.set(None)
        if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            request.cpu_ns += time.thread_time_ns() - _thread.step_start_ns
        else:
            request.cpu_ns = None
        request.end()


@contextmanager
def thread_of(request: Request):
    """What this thread does meanwhile, it does for the request, also in a loop that runs there."""
    cpu_ns = time.thread_time_ns()
    _thread.is_counted = True
    try:
        yield
    finally:
        _thread.is_counted = False
        request.cpu_ns += time.thread_time_ns() - cpu_ns


def current() -> Request:
    """The request that this coroutine works for."""
    request = _current.get()
    if request is None:
        raise LookupError("no request: is truth.Middleware installed, or truth.serving around?")
    return request


class _Thread(threading.local):
    # CPU of the thread when the running step began.
    step_start_ns = 0
    # All of its CPU is counted, not only its steps.
    is_counted = False


_thread = _Thread()


def count_steps() -> None:
    """Adds the CPU of each callback of the event loop to the request in whose context it ran."""
    run = asyncio.Handle._run

    def counted(handle: asyncio.Handle) -> None:
        start_ns = _thread.step_start_ns = time.thread_time_ns()
        run(handle)
        # Asked afterwards, so that the step in which the middleware sets the request counts as well.
        request = handle._context.get(_current)
        if request is not None and not _thread.is_counted:
            request.cpu_ns += time.thread_time_ns() - start_ns

    asyncio.Handle._run = counted
