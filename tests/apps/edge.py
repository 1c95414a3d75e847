"""What HTTP allows and few routes do: uploads in chunks, long answers, WebSockets. Run: uvicorn edge:app"""

import asyncio

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/quick/{identity}")
async def quick(identity: str) -> str:
    await asyncio.sleep(0.03)
    return identity


@app.post("/upload/{identity}")
async def upload(identity: str, request: Request) -> int:
    return sum([len(piece) async for piece in request.stream()])


@app.get("/slow/{identity}")
async def slow(identity: str) -> StreamingResponse:
    """Goes on for longer than its caller stays."""
    return StreamingResponse(_pieces(identity))


@app.websocket("/echo/{identity}")
async def echo(socket: WebSocket, identity: str) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await asyncio.sleep(0.02)
        await socket.send_text(text)


async def _pieces(identity: str):
    for _ in range(50):
        yield f"{identity} "
        await asyncio.sleep(0.02)
