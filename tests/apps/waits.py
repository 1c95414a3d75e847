"""Each route waits for one thing, and logs for how long. Run: gunicorn --workers 1 waits:app, with the sync worker"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from flask import Flask, g

import truth
import work

app = Flask(__name__)
app.wsgi_app = truth.Wsgi(app.wsgi_app)
truth.settle()


@app.before_request
def begin() -> None:
    g.queued_ns = truth.in_queue_ns()


@app.teardown_request
def end(_error: BaseException | None) -> None:
    add("wait.runqueue", truth.in_queue_ns() - g.queued_ns)


@app.get("/sleep/<identity>")
def sleep(identity: str) -> str:
    with waits("wait.sleep"):
        time.sleep(0.1)
    return "done"


@app.get("/lock/<identity>")
def lock(identity: str) -> str:
    """Whoever has the lock sleeps, so nobody has the GIL meanwhile."""
    holder.wanted = True
    with waits("wait.sleep"):
        while not contended.locked():
            time.sleep(Nuisance.POLL_S)
    with waits("wait.lock"):
        contended.acquire()
    contended.release()
    return "done"


@app.get("/disk/<identity>")
def disk(identity: str) -> str:
    with waits("wait.disk"):
        for _ in range(20):
            os.pwrite(scratch.fileno(), bytes(1 << 16), 0)
            os.fsync(scratch.fileno())
    return "done"


@app.get("/gil/<identity>")
def gil(identity: str) -> str:
    """Another thread computes, which asks for the GIL all the time."""
    with waits("wait.gil"):
        computer.wanted = True
        work.burn(50)
        computer.wanted = False
    return "done"


@app.get("/runqueue/<identity>")
def runqueue(identity: str) -> str:
    """Another process computes on the only CPU that this one may use."""
    with neighbour:
        work.burn(50)
    return "done"


@app.get("/mixed/<identity>")
def mixed(identity: str) -> str:
    for one in (sleep, lock, gil, runqueue):
        one(identity)
    return "done"


@contextlib.contextmanager
def waits(bucket: str) -> Iterator[None]:
    """What neither the CPU nor the queue for it had of this time."""
    start_ns, cpu_ns, queued_ns = time.monotonic_ns(), time.thread_time_ns(), truth.in_queue_ns()
    yield
    wall_ns = time.monotonic_ns() - start_ns
    waited_ns = wall_ns - (time.thread_time_ns() - cpu_ns) - (truth.in_queue_ns() - queued_ns)
    # The three clocks are not read at once.
    add(bucket, max(waited_ns, 0))


def add(bucket: str, ns: int) -> None:
    waits = truth.current().waits
    waits[bucket] = waits.get(bucket, 0) + ns


class Nuisance:
    """A thread that no request started, and that does one thing while `wanted` is set."""

    POLL_S = 0.001

    def __init__(self, act: Callable[["Nuisance"], None]) -> None:
        self._act = act
        self.wanted = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self.POLL_S)
            if self.wanted:
                self._act(self)


def hold_the_lock(nuisance: Nuisance) -> None:
    nuisance.wanted = False
    with contended:
        time.sleep(0.1)


def compute(nuisance: Nuisance) -> None:
    while nuisance.wanted:
        pass


class Neighbour:
    """A process that computes, while it is asked to, on the only CPU that this one may then use."""

    PROGRAM = "import os, sys\nos.sched_setaffinity(0, [{cpu}])\nwhile True: pass"

    def __init__(self) -> None:
        self._allowed = os.sched_getaffinity(0)
        self._cpu = min(self._allowed)
        self._process = subprocess.Popen([sys.executable, "-S", "-c", self.PROGRAM.format(cpu=self._cpu)])
        self._process.send_signal(signal.SIGSTOP)
        atexit.register(self._process.kill)

    def __enter__(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        os.sched_setaffinity(0, [self._cpu])

    def __exit__(self, *_) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.sched_setaffinity(0, self._allowed)


# Not where the files of tests often are, in memory.
scratch = tempfile.TemporaryFile(dir="/var/tmp")
contended = threading.Lock()
holder, computer, neighbour = Nuisance(hold_the_lock), Nuisance(compute), Neighbour()
