"""A run whose CPU is that of four functions in equal parts, three of which call native code of one library each: native.py MS"""

import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable

import truth

MEBIBYTE = 1 << 20
noise = os.urandom(MEBIBYTE)


def hashes() -> None:
    hashlib.sha256(noise).digest()


def compresses() -> None:
    zlib.compress(noise)


def reads() -> None:
    zeros.readinto(room)


def computes() -> None:
    odd = 0
    for number in range(100_000):
        odd += number & 1


def run_for(ms: float, function: Callable[[], None]) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        function()


room = bytearray(MEBIBYTE)
with open("/dev/zero", "rb", buffering=0) as zeros, truth.run("native"):
    for function in (hashes, compresses, reads, computes):
        run_for(float(sys.argv[1]), function)
