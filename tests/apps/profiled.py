"""Work that profilers are measured on: for each line on stdin, does each phase once and prints what it took and, where a
profiler was put into it, what share of their time that says the phases had. Run: profiled.py PROFILER, one of IN_PROCESS"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

STREAMS, CHUNKS, GAP_S = 20, 200, 0.005


def calls() -> None:
    """Nothing but calls, 4 million of them."""
    fibonacci(31)


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def loops() -> None:
    """No call at all."""
    odd = 0
    for number in range(10_000_000):
        odd += number & 1


def encodes() -> None:
    """Calls whose work is done in C."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "some words of an answer"}}] * 50}
    for _ in range(6_000):
        json.loads(json.dumps(chunk))


def awaits() -> None:
    """An event loop that never waits: 100 tasks, each await four deep."""

    async def deep(depth: int) -> None:
        await (deep(depth - 1) if depth else asyncio.sleep(0))

    async def task() -> None:
        for _ in range(3_000):
            await deep(3)

    async def all_of_them() -> None:
        await asyncio.gather(*(task() for _ in range(100)))

    asyncio.run(all_of_them())


def streams(port: int) -> None:
    """Mostly waiting: answers that come in chunks, as those of a vendor do."""

    async def read() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while line := await reader.readline():
            if line.startswith(b"data: "):
                json.loads(line[6:])
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(read() for _ in range(STREAMS)))

    asyncio.run(all_of_them())


def serve() -> None:
    """What streams come from, in a process of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(CHUNKS):
            writer.write(b"data: %s\n\n" % json.dumps({"number": number}).encode())
            await asyncio.sleep(GAP_S)
        writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(listen())


# Those whose time is CPU time, so that it is the same by any clock.
COMPUTING = [calls, loops, encodes, awaits]


@contextlib.contextmanager
def nothing(total_s: dict[str, float]) -> Iterator[None]:
    yield


@contextlib.contextmanager
def by_cprofile(total_s: dict[str, float]) -> Iterator[None]:
    import cProfile
    import pstats

    with cProfile.Profile() as profile:
        yield
    for (_, _, name), (_, _, _, cumulative_s, _) in pstats.Stats(profile).stats.items():
        total_s[name] = total_s.get(name, 0.0) + cumulative_s


@contextlib.contextmanager
def by_yappi(clock: str, total_s: dict[str, float]) -> Iterator[None]:
    import yappi

    yappi.set_clock_type(clock)
    yappi.start()
    yield
    yappi.stop()
    for function in yappi.get_func_stats():
        total_s[function.name] = total_s.get(function.name, 0.0) + function.ttot
    yappi.clear_stats()


@contextlib.contextmanager
def by_pyinstrument(interval_s: float, total_s: dict[str, float]) -> Iterator[None]:
    import pyinstrument

    profiler = pyinstrument.Profiler(interval=interval_s)
    with profiler:
        yield
    frames = [profiler.last_session.root_frame()]
    phases = {phase.__name__ for phase in COMPUTING}
    while frames:
        frame = frames.pop()
        if frame.function in phases:
            total_s[frame.function] = total_s.get(frame.function, 0.0) + frame.time
        else:
            frames.extend(frame.children)


IN_PROCESS: dict[str, Callable[[dict[str, float]], contextlib.AbstractContextManager[None]]] = {
    "none": nothing,
    "cProfile": by_cprofile,
    "yappi-wall": lambda total_s: by_yappi("wall", total_s),
    "yappi-cpu": lambda total_s: by_yappi("cpu", total_s),
    "pyinstrument": lambda total_s: by_pyinstrument(0.001, total_s),
}


def main() -> None:
    profiler = IN_PROCESS[sys.argv[1]]
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE) as server:
        try:
            port = int(server.stdout.readline())
            phases = {phase.__name__: phase for phase in COMPUTING} | {"streams": lambda: streams(port)}
            for _ in sys.stdin:
                cpu_ns, total_s = {}, {}
                with profiler(total_s):
                    for name, phase in phases.items():
                        start_ns = time.process_time_ns()
                        phase()
                        cpu_ns[name] = time.process_time_ns() - start_ns
                told = {name: int(total_s.get(name, 0.0) * 1e9) for name in phases} if total_s else {}
                print(json.dumps({"cpu_ns": cpu_ns, "told_ns": told}), flush=True)
        finally:
            server.kill()


if sys.argv[1] == "serve":
    serve()
else:
    main()
