"""A run whose CPU is two functions', three parts to one: functions.py MS"""

import sys
import time

import truth


def burn(ms: float) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        pass


def mostly(ms: float) -> None:
    burn(0.75 * ms)


class Sometimes:
    def now_and_then(self, ms: float) -> None:
        end_ns = time.thread_time_ns() + int(0.25 * ms * 1e6)
        while time.thread_time_ns() < end_ns:
            pass


with truth.run("functions"):
    mostly(float(sys.argv[1]))
    Sometimes().now_and_then(float(sys.argv[1]))
