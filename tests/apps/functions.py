"""A run whose CPU is two functions', three parts to one: functions.py MS"""

import sys
import time

import truth


def burn(ms: float) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        pass


# What is not ASCII a string of Python has in one, two or four bytes for each character.
exec(compile("def 燃やす(ms):\n    burn(0.75 * ms)", "/srv/日本/😀.py", "exec"))


def größtenteils(ms: float) -> None:
    燃やす(ms)  # noqa: F821


class Sometimes:
    def now_and_then(self, ms: float) -> None:
        end_ns = time.thread_time_ns() + int(0.25 * ms * 1e6)
        while time.thread_time_ns() < end_ns:
            pass


with truth.run("functions"):
    größtenteils(float(sys.argv[1]))
    Sometimes().now_and_then(float(sys.argv[1]))
