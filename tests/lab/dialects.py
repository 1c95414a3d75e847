"""What vendors say: their answers to a request, whole and as a stream, the same for the same call.

A stream is a sequence of pieces, each with whether it brings output of the model. As with the real ones, most begin with
something that is none.
"""

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator
from urllib.parse import unquote

Pieces = Iterator[tuple[bytes, bool]]

INPUT_TOKENS = 10


class Dialect:
    """OpenAI's chat completions, which many others speak."""

    request_id = "x-request-id"
    # Where the vendor's own figure of its time is, in ms; empty for none.
    time = ""
    # Where it says how many requests and tokens are left.
    limits: tuple[str, ...] = ()
    stream_type = "text/event-stream; charset=utf-8"

    def time_value(self, ms: int) -> str:
        return str(ms)

    def asked(self, path: str, body: dict) -> tuple[str, bool]:
        """The model, and whether it shall stream."""
        return body.get("model", ""), bool(body.get("stream"))

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": _text(call, chunks)}, "finish_reason": "stop"}
        return _json({**self._common(call, model, "chat.completion"), "choices": [choice], "usage": self._usage(chunks)})

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        """The role with the first word, a word each, then the reason, the usage and the end mark as one."""
        common = self._common(call, model, "chat.completion.chunk")
        for i in range(chunks):
            role = {"role": "assistant"} if i == 0 else {}
            yield _event({**common, "choices": [_delta({**role, "content": _word(call, i)}, None)]}), True
        yield (
            _event({**common, "choices": [_delta({}, "stop")]})
            + _event({**common, "choices": [], "usage": self._usage(chunks)})
            + b"data: [DONE]\n\n"
        ), False

    def error(self, status: int) -> bytes:
        return _json({"error": {"message": f"refused with {status} on request", "type": "lab", "code": None}})

    def _common(self, call: str, model: str, kind: str) -> dict:
        return {"id": f"chatcmpl-{call}", "object": kind, "created": 1_750_000_000, "model": model}

    def _usage(self, chunks: int) -> dict:
        return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": chunks, "total_tokens": INPUT_TOKENS + chunks}


class OpenAi(Dialect):
    time = "openai-processing-ms"
    limits = ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens")


class Mistral(Dialect):
    request_id = "mistral-correlation-id"
    time = "x-envoy-upstream-service-time"


class Azure(Dialect):
    request_id = "apim-request-id"
    time = "x-envoy-upstream-service-time"
    limits = OpenAi.limits


class HuggingFace(Dialect):
    time = "x-total-time"


class Responses(OpenAi):
    """OpenAI's responses."""

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        return _json(self._response(call, model, chunks))

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        begun = {**self._response(call, model, 0), "status": "in_progress", "output": [], "usage": None}
        item = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        numbers = iter(range(10_000))

        def event(kind: str, **fields: object) -> bytes:
            return _event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

        message = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        yield (
            event("response.created", response=begun)
            + event("response.in_progress", response=begun)
            + event("response.output_item.added", output_index=0, item=message)
            + event("response.content_part.added", part={"type": "output_text", "text": "", "annotations": []}, **item)
        ), False
        for i in range(chunks):
            yield event("response.output_text.delta", delta=_word(call, i), logprobs=[], **item), True
        done = self._response(call, model, chunks)
        yield (
            event("response.output_text.done", text=_text(call, chunks), logprobs=[], **item)
            + event("response.output_item.done", output_index=0, item=done["output"][0])
            + event("response.completed", response=done)
        ), True

    def _response(self, call: str, model: str, chunks: int) -> dict:
        text = {"type": "output_text", "text": _text(call, chunks), "annotations": []}
        message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [text]}
        usage = {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": chunks,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + chunks,
        }
        return {
            "id": f"resp_{call}",
            "object": "response",
            "created_at": 1_750_000_000,
            "status": "completed",
            "model": model,
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
            "metadata": {},
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "temperature": 1.0,
            "top_p": 1.0,
        }


class Anthropic(Dialect):
    request_id = "request-id"
    time = "x-envoy-upstream-service-time"
    limits = ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-tokens-remaining")

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        content = [{"type": "text", "text": _text(call, chunks)}]
        return _json({**self._message(call, model, chunks), "content": content, "stop_reason": "end_turn"})

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        def event(kind: str, **fields: object) -> bytes:
            return _event({"type": kind, **fields}, kind)

        yield (
            event("message_start", message=self._message(call, model, 1))
            + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            + event("ping")
        ), False
        for i in range(chunks):
            delta = {"type": "text_delta", "text": _word(call, i)}
            yield event("content_block_delta", index=0, delta=delta), True
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        yield (
            event("content_block_stop", index=0)
            + event("message_delta", delta=stop, usage={"output_tokens": chunks})
            + event("message_stop")
        ), False

    def error(self, status: int) -> bytes:
        return _json({"type": "error", "error": {"type": "lab", "message": f"refused with {status} on request"}})

    def _message(self, call: str, model: str, chunks: int) -> dict:
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": chunks}
        common = {"id": f"msg_{call}", "type": "message", "role": "assistant", "model": model, "content": []}
        return {**common, "stop_reason": None, "stop_sequence": None, "usage": usage}


class Gemini(Dialect):
    request_id = ""
    time = "server-timing"

    def time_value(self, ms: int) -> str:
        return f"gfet4t7; dur={ms}"

    def asked(self, path: str, body: dict) -> tuple[str, bool]:
        model, _, verb = unquote(path.split("/models/")[1].split("?")[0]).rpartition(":")
        return model, verb.startswith("stream")

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        return _json(self._part(model, _text(call, chunks), chunks, "STOP"))

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        for i in range(chunks):
            reason = "STOP" if i == chunks - 1 else None
            yield b"data: " + _json(self._part(model, _word(call, i), i + 1, reason)) + b"\r\n\r\n", True

    def _part(self, model: str, text: str, chunks: int, reason: str | None) -> dict:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        usage = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": chunks}
        usage["totalTokenCount"] = INPUT_TOKENS + chunks
        ended = {"finishReason": reason} if reason else {}
        return {"candidates": [{**candidate, **ended}], "usageMetadata": usage, "modelVersion": model}


class Cohere(Dialect):
    request_id = ""
    time = "x-envoy-upstream-service-time"

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        message = {"role": "assistant", "content": [{"type": "text", "text": _text(call, chunks)}]}
        return _json({"id": call, "finish_reason": "COMPLETE", "message": message, "usage": self._usage(chunks)})

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        def event(kind: str, **fields: object) -> bytes:
            return _event({"type": kind, **fields}, kind)

        def content(text: dict) -> dict:
            return {"message": {"content": text}}

        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield (
            event("message-start", id=call, delta={"message": message})
            + event("content-start", index=0, delta=content({"type": "text", "text": ""}))
        ), False
        for i in range(chunks):
            yield event("content-delta", index=0, delta=content({"text": _word(call, i)})), True
        end = {"finish_reason": "COMPLETE", "usage": self._usage(chunks)}
        yield event("content-end", index=0) + event("message-end", delta=end), False

    def _usage(self, chunks: int) -> dict:
        tokens = {"input_tokens": INPUT_TOKENS, "output_tokens": chunks}
        return {"billed_units": {"input_tokens": 5, "output_tokens": chunks}, "tokens": tokens}


class Ollama(Dialect):
    request_id = ""
    stream_type = "application/x-ndjson"

    def asked(self, path: str, body: dict) -> tuple[str, bool]:
        return body.get("model", ""), body.get("stream", True)

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        return _json({**self._part(model, _text(call, chunks)), **self._end(chunks)})

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        for i in range(chunks):
            yield _json({**self._part(model, _word(call, i)), "done": False}) + b"\n", True
        yield _json({**self._part(model, ""), **self._end(chunks)}) + b"\n", False

    def _part(self, model: str, text: str) -> dict:
        message = {"role": "assistant", "content": text}
        return {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": message}

    def _end(self, chunks: int) -> dict:
        durations = {"total_duration": 5_043_500, "load_duration": 5_025, "eval_duration": 4_709_213}
        counts = {"prompt_eval_count": INPUT_TOKENS, "eval_count": chunks}
        return {"done": True, "done_reason": "stop", **durations, **counts}


class Bedrock(Dialect):
    """AWS Bedrock's `converse`."""

    request_id = "x-amzn-requestid"
    time = "x-amzn-bedrock-invocation-latency"
    stream_type = "application/vnd.amazon.eventstream"

    def asked(self, path: str, body: dict) -> tuple[str, bool]:
        _, model, verb = unquote(path).lstrip("/").split("/")
        return model, "stream" in verb

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        message = {"role": "assistant", "content": [{"text": _text(call, chunks)}]}
        answer = {"output": {"message": message}, "stopReason": "end_turn", "metrics": {"latencyMs": 1}}
        return _json({**answer, "usage": self._usage(chunks)})

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        yield _message("messageStart", {"role": "assistant"}), False
        for i in range(chunks):
            yield _message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": _word(call, i)}}), True
        yield (
            _message("contentBlockStop", {"contentBlockIndex": 0})
            + _message("messageStop", {"stopReason": "end_turn"})
            + _message("metadata", {"usage": self._usage(chunks), "metrics": {"latencyMs": 1}})
        ), False

    def error(self, status: int) -> bytes:
        return _json({"message": f"refused with {status} on request"})

    def _usage(self, chunks: int) -> dict:
        return {"inputTokens": INPUT_TOKENS, "outputTokens": chunks, "totalTokens": INPUT_TOKENS + chunks}


class BedrockInvoke(Bedrock):
    """AWS Bedrock's `invoke`: an answer of the model's own vendor, here Anthropic, in Base64."""

    _of = Anthropic()

    def whole(self, call: str, model: str, chunks: int) -> bytes:
        return self._of.whole(call, model, chunks)

    def stream(self, call: str, model: str, chunks: int) -> Pieces:
        for piece, has_output in self._of.stream(call, model, chunks):
            texts = re.findall(rb"^data: (.*)$", piece, re.MULTILINE)
            wrapped = (_message("chunk", {"bytes": base64.b64encode(text).decode()}) for text in texts)
            yield b"".join(wrapped), has_output


OF_HOSTS = {"openai.com": OpenAi, "mistral.ai": Mistral, "azure.com": Azure, "huggingface.co": HuggingFace}


def of(host: str, path: str) -> Dialect:
    path = path.split("?")[0]
    if path.endswith(("/converse", "/converse-stream")):
        return Bedrock()
    if "/invoke" in path:
        return BedrockInvoke()
    if path.endswith("enerateContent"):
        return Gemini()
    if path.endswith("/messages"):
        return Anthropic()
    if path.endswith("/responses"):
        return Responses()
    if path.startswith("/v2/chat"):
        return Cohere()
    if path.startswith("/api/"):
        return Ollama()
    of_host = (dialect for end, dialect in OF_HOSTS.items() if host.endswith(end))
    return next(of_host, Dialect)()


def _delta(delta: dict, reason: str | None) -> dict:
    return {"index": 0, "delta": delta, "finish_reason": reason}


def _text(call: str, chunks: int) -> str:
    return "".join(_word(call, i) for i in range(chunks))


def _word(call: str, i: int) -> str:
    return f"{call}-{i} "


def _event(data: dict, kind: str | None = None) -> bytes:
    name = f"event: {kind}\n".encode() if kind else b""
    return name + b"data: " + _json(data) + b"\n\n"


def _message(kind: str, payload: dict) -> bytes:
    """A message of an AWS event stream."""
    headers = _header(":event-type", kind) + _header(":content-type", "application/json") + _header(":message-type", "event")
    body = _json(payload)
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def _json(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
