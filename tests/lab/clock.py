"""The clock of every log: CLOCK_MONOTONIC in ns, which is also what eBPF's bpf_ktime_get_ns reads."""

import time


def now_ns() -> int:
    return time.monotonic_ns()


def from_unix_ns(unix_ns: int) -> int:
    """The monotonic time of a wall clock time of this moment, such as a packet's time stamp."""
    return unix_ns - unix_offset_ns()


def unix_offset_ns() -> int:
    """Wall clock minus monotonic clock. Of three readings the one least interrupted counts."""
    best = None
    for _ in range(3):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
    return best[1]
