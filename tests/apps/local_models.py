"""Asks a model server on this host in each way, and says on stdout what was asked and answered. Usage: local_models.py PORT"""

from __future__ import annotations

import asyncio
import json
import sys

from openai import AsyncOpenAI, OpenAI

URL = f"http://127.0.0.1:{sys.argv[1]}/v1"
client = OpenAI(base_url=URL, api_key="none")
async_client = AsyncOpenAI(base_url=URL, api_key="none")
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def asked(tokens: int) -> dict:
    """How many tokens are wanted tells the calls from each other."""
    return {
        "model": "tiny",
        "messages": [{"role": "user", "content": "?"}],
        "max_tokens": tokens,
    }


def told(operation: str, stream: bool, answer, timings: dict | None = None) -> None:
    """`timings` is the server's own account."""
    usage = answer.usage
    print(
        json.dumps(
            {
                "operation": operation,
                "stream": stream,
                "input_tokens": usage.prompt_tokens,
                "output_tokens": getattr(usage, "completion_tokens", None),
                "timings": timings,
            }
        ),
        flush=True,
    )


def whole(tokens: int) -> None:
    answer = client.chat.completions.create(**asked(tokens))
    told("chat", False, answer, answer.model_extra["timings"])


def stream(tokens: int) -> None:
    for chunk in client.chat.completions.create(**asked(tokens), **STREAMED):
        if chunk.usage:
            told("chat", True, chunk, chunk.model_extra["timings"])


async def stream_async(tokens: int) -> None:
    async for chunk in await async_client.chat.completions.create(**asked(tokens), **STREAMED):
        if chunk.usage:
            # Beside others the server's account is of all it did meanwhile.
            told("chat", True, chunk)


async def at_once(tokens: list[int]) -> None:
    await asyncio.gather(*map(stream_async, tokens))


whole(20)
stream(400)
told("embeddings", False, client.embeddings.create(model="tiny", input="some words"))
told("text_completion", False, client.completions.create(model="tiny", prompt="some words", max_tokens=30))
asyncio.run(at_once([41, 42, 43, 44]))
