"""LLM vendors: each answers in its own way (dialects.py), as the model's name asks for (knobs.py), with a log of every byte's time.

The log has a line `connection` for each TLS connection and a line `exchange` for each request. `call` in it is what the client put
into the body's field `user`, into the header `x-truth-id` or into the model's name. Received is when the last byte arrived in the
kernel, sent when it was handed to it. What the answer's head says of the vendor's time and of the caller's limits is in it, too.
"""

import asyncio
import functools
import itertools
import json
import socket
import ssl
from collections import Counter

import h11

import clock
import coding
import dialects
import http2
import knobs
from log import Log
from timed_socket import TimedSocket
from tls import TlsSocket

# Of a caller, before the first request.
REQUESTS, TOKENS = 10_000, 2_000_000


class Vendor:
    def __init__(self, log: Log) -> None:
        self._log = log
        self._connections = itertools.count(1)
        self._requests = itertools.count(1)
        self._attempts: Counter[str] = Counter()

    async def serve(self, port: int, context: ssl.SSLContext | None) -> None:
        """Listens on loopback, and then accepts for ever; without a context it speaks in plain."""
        listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        listener.setblocking(False)
        tasks = set()
        loop = asyncio.get_running_loop()
        while True:
            sock, peer = await loop.sock_accept(listener)
            task = loop.create_task(self._connection(sock, peer[1], context))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _connection(self, sock: socket.socket, peer_port: int, context: ssl.SSLContext | None) -> None:
        accepted_ns = clock.now_ns()
        number = next(self._connections)
        stream = TimedSocket(sock)
        try:
            if context:
                stream = TlsSocket(stream, context)
                hello_ns, finished_ns = await stream.handshake()
                self._log.write(
                    "connection",
                    connection=number,
                    peer_port=peer_port,
                    accepted_ns=accepted_ns,
                    hello_ns=hello_ns,
                    finished_ns=finished_ns,
                )
            if context and stream.protocol() == "h2":
                await http2.serve(stream, functools.partial(self._answer, number))
            else:
                await self._serve_http1(number, stream)
        except (OSError, ssl.SSLError, h11.RemoteProtocolError):
            # A client may hang up at any time.
            pass
        finally:
            stream.close()

    async def _serve_http1(self, number: int, stream: TlsSocket | TimedSocket) -> None:
        http = h11.Connection(h11.SERVER)
        while request := await _read_request(http, stream):
            head, body, received_ns = request
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            path = head.target.decode("latin-1")
            await self._answer(number, Http1(http, stream), headers, path, body, received_ns)
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _answer(
        self,
        number: int,
        out: "Http1 | http2.Stream",
        headers: dict[str, str],
        path: str,
        body: bytes,
        received_ns: int,
    ) -> None:
        dialect = dialects.of(headers.get("host", ""), path)
        asked = json.loads(body) if body else {}
        model, is_stream = dialect.asked(path, asked) if body else ("", False)
        call = asked.get("user") or headers.get("x-truth-id") or knobs.name(model)
        knob = knobs.parse(model, call)
        self._attempts[call] += 1
        sequence = next(self._requests)
        request_id = f"req_{sequence}" if dialect.request_id else None
        left = (REQUESTS - sequence, TOKENS - 100 * sequence) if dialect.limits else (None, None)
        record = {
            "connection": number,
            "request_id": request_id,
            "call": call,
            "model": model,
            "attempt": self._attempts[call],
            "stream": is_stream,
            "requests_left": left[0],
            "tokens_left": left[1],
            "received_ns": received_ns,
        }
        refused = record["attempt"] <= knob.failures
        record["status"] = knob.status if refused else 200
        answer = Answer(out, knob, dialect, received_ns)
        if request_id:
            answer.headers.append((dialect.request_id, request_id))
        answer.headers += zip(dialect.limits, map(str, left))
        if knob.coding and knob.coding in headers.get("accept-encoding", ""):
            answer.headers.append(("content-encoding", knob.coding))
            answer.compressor = coding.BY_NAME[knob.coding]()
        try:
            if refused:
                if knob.retry_after:
                    answer.headers.append(("retry-after", str(knob.retry_after)))
                await answer.send_whole(knob.status, dialect.error(knob.status))
            elif is_stream:
                record["output_tokens"] = knob.chunks
                pieces = dialect.stream(call, model, knob.chunks)
                await answer.send_stream(dialect.stream_type, pieces, dialect.error(500))
            else:
                record["output_tokens"] = knob.chunks
                await answer.wait(0)
                if knob.cut == 0:
                    out.reset()
                await answer.send_whole(200, dialect.whole(call, model, knob.chunks))
        finally:
            told = {"reported_ms": answer.reported_ms, "sent_ns": answer.sent_ns, "content_ns": answer.content_ns}
            self._log.write("exchange", **record, **told)


class Http1:
    """An answer by HTTP/1.1: what is written of it goes out with the next `send`."""

    def __init__(self, http: h11.Connection, stream: TlsSocket | TimedSocket) -> None:
        self._http = http
        self._stream = stream
        self._data = b""

    def head(self, status: int, headers: list[tuple[str, str]], length: int | None) -> None:
        framing = ("content-length", str(length)) if length is not None else ("transfer-encoding", "chunked")
        self._data += self._http.send(h11.Response(status_code=status, headers=[*headers, framing]))

    def data(self, data: bytes) -> None:
        self._data += self._http.send(h11.Data(data=data))

    def end(self) -> None:
        self._data += self._http.send(h11.EndOfMessage())

    async def send(self) -> int:
        data, self._data = self._data, b""
        return await self._stream.send(data)

    def reset(self) -> None:
        self._stream.reset()


class Answer:
    """One answer on its way out."""

    def __init__(
        self, out: "Http1 | http2.Stream", knob: knobs.Knobs, dialect: dialects.Dialect, received_ns: int
    ) -> None:
        self._out = out
        self._knob = knob
        self._dialect = dialect
        self._received_ns = received_ns
        self.headers: list[tuple[str, str]] = []
        self.compressor = coding.Plain()
        self.sent_ns: list[int] = []
        # When the first output of the model was sent.
        self.content_ns: int | None = None
        # The vendor's own figure of its time.
        self.reported_ms: int | None = None

    async def wait(self, piece: int) -> None:
        """Until the piece is due."""
        delay_s = self._knob.ttft_s + piece * self._knob.gap_s
        await asyncio.sleep(delay_s - (clock.now_ns() - self._received_ns) / 1e9)

    async def send_whole(self, status: int, body: bytes) -> None:
        body = self.compressor.piece(body) + self.compressor.end()
        self._head(status, "application/json", len(body))
        self._out.data(body)
        self._out.end()
        self.sent_ns.append(await self._out.send())

    async def send_stream(self, content_type: str, pieces: dialects.Pieces, error: bytes) -> None:
        """The head goes out with the first piece, the end of the body with the last."""
        pieces = list(pieces)
        if not self._knob.done:
            pieces.pop()
        if self._knob.error >= 0:
            pieces[self._knob.error :] = [(b"data: " + error + b"\n\n", False)]
        for i, (piece, has_output) in enumerate(pieces):
            await self.wait(i)
            if i == self._knob.cut:
                self._out.reset()
            if i == 0:
                self._head(200, content_type, None)
            self._out.data(self.compressor.piece(piece))
            if i == len(pieces) - 1:
                self._out.data(self.compressor.end())
                self._out.end()
            self.sent_ns.append(await self._out.send())
            if has_output and self.content_ns is None:
                self.content_ns = self.sent_ns[-1]

    def _head(self, status: int, content_type: str, length: int | None) -> None:
        """Goes out at once, so that the time up to now is the one to the first byte."""
        headers = [("content-type", content_type), *self.headers]
        if self._dialect.time:
            self.reported_ms = round((clock.now_ns() - self._received_ns) / 1e6)
            headers.append((self._dialect.time, self._dialect.time_value(self.reported_ms)))
        self._out.head(status, headers, length)


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
