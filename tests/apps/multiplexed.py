"""Calls of many requests at once share one connection to the vendor, by HTTP/2. Run: uvicorn multiplexed:app"""

import asyncio

from fastapi import FastAPI
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

import truth
import work

app = FastAPI()
app.add_middleware(truth.Middleware)
client = AsyncOpenAI(http_client=DefaultAsyncHttpxClient(http2=True))
sync_client = OpenAI(http_client=DefaultHttpxClient(http2=True))
truth.settle()

MODEL = "ttft=100-400,gap=10-30,n=20"


@app.get("/one/{identity}")
async def one(identity: str) -> str:
    return await work.ask_async(client, truth.current(), MODEL)


@app.get("/three/{identity}")
async def three(identity: str) -> list[str]:
    request = truth.current()
    return await asyncio.gather(*(work.ask_async(client, request, MODEL) for _ in range(3)))


@app.get("/again/{identity}")
async def again(identity: str) -> str:
    """The vendor wants to be asked again, once."""
    return await work.ask_async(client, truth.current(), f"{MODEL},fail=1,status=429")


@app.get("/thread/{identity}")
def thread(identity: str) -> str:
    request = truth.current()
    with truth.thread_of(request):
        return work.ask(sync_client, request, MODEL)
