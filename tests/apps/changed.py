"""Two routes whose functions burn known CPU; SLOWER makes one of them so many times slower. Run: uvicorn changed:app"""

import os
import time

from fastapi import FastAPI

app = FastAPI()
slower = float(os.environ.get("SLOWER", "1"))


# Each burns by itself, so that the time is its own.
def parse(ms: float) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        pass


def rank(ms: float) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        pass


def render(ms: float) -> None:
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end_ns:
        pass


@app.get("/search/{identity}")
async def search(identity: str) -> str:
    parse(10)
    rank(20 * slower)
    return "done"


@app.get("/page/{identity}")
async def page(identity: str) -> str:
    parse(10)
    render(10)
    return "done"
