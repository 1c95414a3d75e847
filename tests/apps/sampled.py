"""A run that collects garbage, imports modules and computes, and then prints how many ns of CPU time the first two took: sampled.py MS"""

import gc
import json
import os
import sys
import time

MODULES = ("decimal", "email.message", "http.server", "logging.config", "pickletools", "xml.dom.minidom")

cpu_ns = time.thread_time_ns


def collect() -> int:
    """As the interpreter's own collections are: what a collection calls tells when it begins and ends."""
    times_ns = []
    gc.callbacks.append(lambda phase, info: times_ns.append(cpu_ns()))
    gc.collect()
    gc.callbacks.pop()
    return times_ns[-1] - times_ns[0]


def imports() -> int:
    for name in set(sys.modules) - at_first:
        del sys.modules[name]
    started_ns = cpu_ns()
    for name in MODULES:
        __import__(name)
    return cpu_ns() - started_ns


def compute(ms: float) -> None:
    started_ns = cpu_ns()
    while cpu_ns() - started_ns < ms * 1e6:
        pass


# By then its probes are attached.
time.sleep(0.5)
gc.disable()
at_first = set(sys.modules)
spent_ns = {"python.gc": 0, "python.import": 0}
end_ns = cpu_ns() + int(sys.argv[1]) * 1_000_000
kept = [[number] for number in range(100_000)]
while cpu_ns() < end_ns:
    spent_ns["python.gc"] += collect()
    spent_ns["python.import"] += imports()
    compute(20)
print("spent", json.dumps(spent_ns), flush=True)
# An interpreter that ends collects once more, and tells nobody.
os._exit(0)
