"""What the applications do: burn CPU, and ask the vendor, synchronously and not, with the truth of each call."""

from __future__ import annotations

import time

from openai import AsyncOpenAI, OpenAI

from truth import Request

# What a client of HTTP that knows no vendor sends where.
URL = "https://api.openai.com/v1/chat/completions"
HEADERS = {"authorization": "Bearer sk-lab"}


def burn(ms: float) -> str:
    """So much CPU of this thread in pure Python."""
    end_ns = time.thread_time_ns() + int(ms * 1e6)
    odd = 0
    while time.thread_time_ns() < end_ns:
        for i in range(1000):
            odd += i & 1
    return "done"


def question(request: Request, model: str) -> tuple:
    call = request.call()
    return call, {"model": model, "user": call.name, "messages": [{"role": "user", "content": "?"}]}


def ask(client: OpenAI, request: Request, model: str) -> str:
    """A streamed answer, read to its end."""
    call, asked = question(request, model)
    try:
        words = []
        for chunk in client.chat.completions.create(stream=True, **asked):
            call.chunk()
            words += [choice.delta.content or "" for choice in chunk.choices]
    except Exception as error:
        call.end(error)
        raise
    call.end()
    return "".join(words)


def ask_whole(client: OpenAI, request: Request, model: str) -> str:
    """An answer in one piece."""
    call, asked = question(request, model)
    try:
        answer = client.chat.completions.create(**asked)
    except Exception as error:
        call.end(error)
        raise
    call.end()
    return answer.choices[0].message.content


async def stream(client: AsyncOpenAI, request: Request, model: str):
    """The words of a streamed answer as they come."""
    call, asked = question(request, model)
    try:
        async for chunk in await client.chat.completions.create(stream=True, **asked):
            call.chunk()
            for choice in chunk.choices:
                if choice.delta.content:
                    yield choice.delta.content
    except Exception as error:
        call.end(error)
        raise
    call.end()


async def ask_async(client: AsyncOpenAI, request: Request, model: str) -> str:
    """A streamed answer, read to its end."""
    return "".join([word async for word in stream(client, request, model)])
