"""An LLM vendor: OpenAI's chat completions over TLS, as the model's name asks for (knobs.py), with a log of every byte's time.

The log has a line `connection` for each connection and a line `exchange` for each request. `call` in it is what the client put into
the body's field `user`, or into the header `x-truth-id`. Received is when the last byte arrived in the kernel, sent when it was
handed to it.
"""

import asyncio
import itertools
import json
import socket
import ssl
from collections import Counter
from collections.abc import Iterator

import h11

import clock
import completion
import knobs
from log import Log
from timed_socket import TimedSocket
from tls import TlsSocket


class Vendor:
    def __init__(self, log: Log, context: ssl.SSLContext) -> None:
        self._log = log
        self._context = context
        self._connections = itertools.count(1)
        self._requests = itertools.count(1)
        self._attempts: Counter[str] = Counter()

    async def serve(self, port: int) -> None:
        """Listens on loopback, and then accepts for ever."""
        listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        listener.setblocking(False)
        tasks = set()
        loop = asyncio.get_running_loop()
        while True:
            sock, peer = await loop.sock_accept(listener)
            task = loop.create_task(self._connection(sock, peer[1]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _connection(self, sock: socket.socket, peer_port: int) -> None:
        accepted_ns = clock.now_ns()
        number = next(self._connections)
        stream = TlsSocket(TimedSocket(sock), self._context)
        try:
            hello_ns, finished_ns = await stream.handshake()
            self._log.write(
                "connection",
                connection=number,
                peer_port=peer_port,
                accepted_ns=accepted_ns,
                hello_ns=hello_ns,
                finished_ns=finished_ns,
            )
            http = h11.Connection(h11.SERVER)
            while await self._exchange(number, http, stream):
                http.start_next_cycle()
        except (OSError, ssl.SSLError, h11.RemoteProtocolError):
            # A client may hang up at any time.
            pass
        finally:
            stream.close()

    async def _exchange(self, number: int, http: h11.Connection, stream: TlsSocket) -> bool:
        """Answers one request; whether another may follow on the connection."""
        request = await _read_request(http, stream)
        if request is None:
            return False
        head, body, received_ns = request
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        asked = json.loads(body) if body else {}
        call = asked.get("user") or headers.get("x-truth-id", "")
        model = asked.get("model", "")
        knob = knobs.parse(model, call)
        self._attempts[call] += 1
        record = {
            "connection": number,
            "request_id": f"req_{next(self._requests)}",
            "call": call,
            "model": model,
            "attempt": self._attempts[call],
            "stream": bool(asked.get("stream")),
            "received_ns": received_ns,
        }

        refused = record["attempt"] <= knob.failures
        record["status"] = knob.status if refused else 200
        headers = [("x-request-id", record["request_id"])]
        sent_ns: list[int] = []
        try:
            if refused:
                if knob.retry_after:
                    headers.append(("retry-after", str(knob.retry_after)))
                await _send_whole(http, stream, knob.status, headers, completion.error(knob.status), sent_ns)
            elif record["stream"]:
                record["output_tokens"] = knob.chunks
                pieces = completion.stream(call, model, knob.chunks)
                await _send_stream(http, stream, received_ns, knob, headers, pieces, sent_ns)
            else:
                await _sleep_until(received_ns, knob.ttft_s)
                if knob.cut == 0:
                    stream.reset()
                record["output_tokens"] = knob.chunks
                await _send_whole(http, stream, 200, headers, completion.whole(call, model, knob.chunks), sent_ns)
        finally:
            self._log.write("exchange", **record, sent_ns=sent_ns)
        return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _read_request(http: h11.Connection, stream: TlsSocket) -> tuple[h11.Request, bytes, int] | None:
    head, body, received_ns = None, b"", 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            data, received_ns = await stream.receive()
            http.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return head, body, received_ns
        else:
            return None


async def _send_whole(
    http: h11.Connection, stream: TlsSocket, status: int, headers: list, body: bytes, sent_ns: list[int]
) -> None:
    headers = [*_headers("application/json"), ("content-length", str(len(body))), *headers]
    data = http.send(h11.Response(status_code=status, headers=headers))
    data += http.send(h11.Data(data=body)) + http.send(h11.EndOfMessage())
    sent_ns.append(await stream.send(data))


async def _send_stream(
    http: h11.Connection,
    stream: TlsSocket,
    received_ns: int,
    knob: knobs.Knobs,
    headers: list,
    pieces: Iterator[bytes],
    sent_ns: list[int],
) -> None:
    """The head goes out with the first piece, the end of the body with the last."""
    headers = [*_headers("text/event-stream; charset=utf-8"), ("transfer-encoding", "chunked"), *headers]
    data = http.send(h11.Response(status_code=200, headers=headers))
    for i, piece in enumerate(pieces):
        await _sleep_until(received_ns, knob.ttft_s + i * knob.gap_s)
        if i == knob.cut:
            stream.reset()
        data += http.send(h11.Data(data=piece))
        if i == knob.chunks:
            data += http.send(h11.EndOfMessage())
        sent_ns.append(await stream.send(data))
        data = b""


def _headers(content_type: str) -> list[tuple[str, str]]:
    return [("content-type", content_type), ("openai-processing-ms", "1")]


async def _sleep_until(since_ns: int, delay_s: float) -> None:
    await asyncio.sleep(delay_s - (clock.now_ns() - since_ns) / 1e9)
