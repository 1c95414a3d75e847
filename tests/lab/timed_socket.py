"""A TCP socket for asyncio that knows when the kernel received what it reads.

A busy process reads late. The kernel's own time stamp (SO_TIMESTAMPNS, socket(7)) says when the bytes came in, so that the
lab's truth does not depend on how soon the lab gets a CPU.
"""

import asyncio
import socket
import struct

import clock

# include/uapi/asm-generic/socket.h; Python's socket module has no name for it.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
_READ_LIMIT = 256 * 1024


class TimedSocket:
    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> tuple[bytes, int]:
        """The next bytes, empty at the end of the connection, and when the last of them arrived."""
        while True:
            try:
                data, ancillary, _, _ = self._sock.recvmsg(_READ_LIMIT, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
                continue
            return data, _arrival_ns(ancillary)

    async def send(self, data: bytes) -> int:
        """Sends everything; the time just before the last bytes were handed to the kernel."""
        view = memoryview(data)
        while True:
            sent_ns = clock.now_ns()
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            if not view:
                return sent_ns

    def reset(self) -> None:
        """Ends the connection with RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._sock.close()

    async def _ready(self, add, remove) -> None:
        future = self._loop.create_future()
        fd = self._sock.fileno()
        add(fd, lambda: future.done() or future.set_result(None))
        try:
            await future
        finally:
            remove(fd)


def _arrival_ns(ancillary: list) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return clock.from_unix_ns(seconds * 1_000_000_000 + nanoseconds)
    # No time stamp comes with the end of a connection.
    return clock.now_ns()
