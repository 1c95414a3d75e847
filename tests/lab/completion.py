"""Bodies of the OpenAI chat completions API, the same for the same call."""

import json
from collections.abc import Iterator


def whole(call: str, model: str, chunks: int) -> bytes:
    content = "".join(_word(call, i) for i in range(chunks))
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return _json({**_common(call, model, "chat.completion"), "choices": [choice], "usage": _usage(chunks)})


def stream(call: str, model: str, chunks: int) -> Iterator[bytes]:
    """Server-sent events: the role with the first word, a word each, then the reason, the usage and the end mark as one."""
    common = _common(call, model, "chat.completion.chunk")
    for i in range(chunks):
        role = {"role": "assistant"} if i == 0 else {}
        yield _event(_json({**common, "choices": [_delta({**role, "content": _word(call, i)}, None)]}))
    yield (
        _event(_json({**common, "choices": [_delta({}, "stop")]}))
        + _event(_json({**common, "choices": [], "usage": _usage(chunks)}))
        + _event(b"[DONE]")
    )


def error(status: int) -> bytes:
    return _json({"error": {"message": f"refused with {status} on request", "type": "lab", "code": None}})


def _common(call: str, model: str, kind: str) -> dict:
    return {"id": f"chatcmpl-{call}", "object": kind, "created": 1_750_000_000, "model": model}


def _delta(delta: dict, reason: str | None) -> dict:
    return {"index": 0, "delta": delta, "finish_reason": reason}


def _usage(chunks: int) -> dict:
    return {"prompt_tokens": 10, "completion_tokens": chunks, "total_tokens": 10 + chunks}


def _word(call: str, i: int) -> str:
    return f"{call}-{i} "


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _json(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
