"""Calls functions so often, twice, and tells how often once: counted.py [GO], where GO is a file that says when: with one line for the
first time, with two for the second"""

import json
import os
import sys
import threading
import time

TIMES = 5_000


def go(lines: int) -> None:
    while len(sys.argv) > 1 and (not os.path.exists(sys.argv[1]) or open(sys.argv[1]).read().count("\n") < lines):
        time.sleep(0.01)


def plain(x: int) -> int:
    return x


def several(x: int) -> int:
    if x % 5 == 0:
        return 0
    return x


def recurses(depth: int) -> int:
    return depth and recurses(depth - 1)


def raises() -> None:
    raise ValueError


def yields(times: int):
    yield from range(times)


def threaded() -> None:
    pass


def forked() -> None:
    pass


class One:
    def method(self) -> None:
        pass


class Two:
    def method(self) -> None:
        pass


def all_of_them() -> None:
    for x in range(TIMES):
        plain(x)
        several(x)
    recurses(99)
    for _ in range(70):
        try:
            raises()
        except ValueError:
            pass
    for _ in yields(40):
        pass
    # Called by native code.
    sorted(range(500), key=plain)
    one, two = One(), Two()
    for _ in range(30):
        one.method()
        two.method()
        two.method()
    threads = [threading.Thread(target=lambda: [threaded() for _ in range(TIMES)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        for _ in range(60):
            forked()
        print("counted", json.dumps({"pid": os.getpid(), "functions": {"forked": 60}}), flush=True)
        os._exit(0)
    os.waitpid(child, 0)


print("ready", flush=True)
go(1)
all_of_them()
functions = {
    "plain": TIMES + 500,
    "several": TIMES,
    "recurses": 100,
    "raises": 70,
    "yields": 40,
    "threaded": 4 * TIMES,
    "method": 90,
}
print("counted", json.dumps({"pid": os.getpid(), "functions": functions}), flush=True)
print("done", flush=True)
go(2)
all_of_them()
