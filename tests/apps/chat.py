"""A chat that passes the vendor's words on as they come. Run: uvicorn chat:app"""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

import truth
import work

app = FastAPI()
app.add_middleware(truth.Middleware)
client = AsyncOpenAI()
truth.settle()


@app.get("/chat/{identity}")
async def chat(identity: str, model: str = "ttft=100-400,gap=20,n=20") -> StreamingResponse:
    words = work.stream(client, truth.current(), model)
    return StreamingResponse((f"data: {word}\n\n" async for word in words), media_type="text/event-stream")


@app.get("/busy/{identity}")
async def busy(identity: str, ms: float = 300) -> str:
    """Keeps the event loop from everybody else."""
    return work.burn(ms)
