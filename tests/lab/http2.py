"""A vendor's side of HTTP/2: each stream of a connection is answered by a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tls import TlsSocket

# Number of a stream to what its request is, until that is whole.
Open = dict[int, tuple[dict[str, str], bytearray]]


async def serve(sock: TlsSocket, answer: Callable[..., Awaitable[None]]) -> None:
    """Calls `answer(stream, headers, path, body, received_ns)` for each request, until the client hangs up."""
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http.initiate_connection()
    await sock.send(http.data_to_send())
    open_: Open = {}
    may_send = asyncio.Condition()
    tasks: dict[int, asyncio.Task] = {}
    try:
        while True:
            data, received_ns = await sock.receive()
            if not data:
                return
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                    open_[event.stream_id] = headers, bytearray()
                elif isinstance(event, h2.events.DataReceived):
                    open_[event.stream_id][1].extend(event.data)
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, body = open_.pop(event.stream_id)
                    headers["host"] = headers[":authority"]
                    stream = Stream(http, sock, event.stream_id, may_send)
                    answering = answer(stream, headers, headers[":path"], bytes(body), received_ns)
                    tasks[event.stream_id] = asyncio.create_task(finish(answering))
                elif isinstance(event, h2.events.WindowUpdated):
                    async with may_send:
                        may_send.notify_all()
                elif isinstance(event, h2.events.StreamReset) and event.stream_id in tasks:
                    tasks[event.stream_id].cancel()
            if data := http.data_to_send():
                await sock.send(data)
    finally:
        for task in tasks.values():
            task.cancel()


async def finish(answering: Awaitable[None]) -> None:
    try:
        await answering
    except (OSError, h2.exceptions.ProtocolError):
        # The client may hang up at any time.
        pass


class Stream:
    """An answer: what is written of it goes out with the next `send`, and not with what another stream sends before."""

    def __init__(
        self, http: h2.connection.H2Connection, sock: TlsSocket, number: int, may_send: asyncio.Condition
    ) -> None:
        self._http = http
        self._sock = sock
        self._number = number
        self._may_send = may_send
        self._fields: list[tuple[str, str]] = []
        self._data = b""
        self._is_ended = False

    def head(self, status: int, headers: list[tuple[str, str]], _length: int | None) -> None:
        self._fields = [(":status", str(status)), *headers]

    def data(self, data: bytes) -> None:
        self._data += data

    def end(self) -> None:
        self._is_ended = True

    async def send(self) -> int:
        """As much at a time as the client is ready to take."""
        if self._fields:
            self._http.send_headers(self._number, self._fields)
            self._fields = []
        while self._data:
            room = min(self._http.local_flow_control_window(self._number), self._http.max_outbound_frame_size)
            if room <= 0:
                await self._sock.send(self._http.data_to_send())
                async with self._may_send:
                    await self._may_send.wait()
                continue
            self._http.send_data(self._number, self._data[:room])
            self._data = self._data[room:]
        if self._is_ended:
            self._http.end_stream(self._number)
        return await self._sock.send(self._http.data_to_send())

    def reset(self) -> None:
        self._sock.reset()
