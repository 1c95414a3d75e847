"""Four routes, each with another trouble. Run: uvicorn demo:app"""

import asyncio

from fastapi import FastAPI
from openai import AsyncOpenAI, OpenAI

import truth
import work

app = FastAPI()
app.add_middleware(truth.Middleware)
client = AsyncOpenAI()
truth.settle()
blocking_client = OpenAI()


@app.get("/wait/{identity}")
async def wait(identity: str, model: str = "ttft=300-500,gap=20,n=20") -> str:
    """Waits on the vendor, as most routes do."""
    return await work.ask_async(client, truth.current(), model)


@app.get("/cpu/{identity}")
async def cpu(identity: str, ms: float = 60) -> str:
    """Burns CPU in Python."""
    return work.burn(ms)


@app.get("/blocking/{identity}")
async def blocking(identity: str, model: str = "ttft=150,gap=10,n=5") -> str:
    """Calls the vendor with the synchronous client, which stops the event loop for everybody."""
    return work.ask(blocking_client, truth.current(), model)


@app.get("/fanout/{identity}")
async def fanout(identity: str, model: str = "ttft=200-400,gap=20,n=10") -> list[str]:
    """Asks three questions at once."""
    request = truth.current()
    return await asyncio.gather(*(work.ask_async(client, request, model) for _ in range(3)))
