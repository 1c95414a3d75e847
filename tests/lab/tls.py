"""The server's side of TLS on a TimedSocket."""

import ssl

from timed_socket import TimedSocket


class TlsSocket:
    """What TimedSocket does, encrypted. `handshake` comes first."""

    def __init__(self, sock: TimedSocket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._arrival_ns = 0

    async def handshake(self) -> tuple[int, int | None]:
        """When the ClientHello and when the client's last message arrived.

        Where a late read took the request along with the last message, only the request's arrival is known.
        """
        first_ns = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                first_ns = first_ns or self._arrival_ns
                continue
            # The session tickets go out here, as servers do it.
            await self._flush()
            return first_ns, None if self._incoming.pending else self._arrival_ns

    def protocol(self) -> str | None:
        """What was agreed on to speak."""
        return self._tls.selected_alpn_protocol()

    async def receive(self) -> tuple[bytes, int]:
        while True:
            try:
                return self._tls.read(256 * 1024), self._arrival_ns
            except ssl.SSLWantReadError:
                await self._fill()
            except ssl.SSLError:
                return b"", self._arrival_ns

    async def send(self, data: bytes) -> int:
        self._tls.write(data)
        return await self._flush()

    def reset(self) -> None:
        self._sock.reset()

    def close(self) -> None:
        self._sock.close()

    async def _fill(self) -> None:
        data, self._arrival_ns = await self._sock.receive()
        if not data:
            raise ConnectionResetError("the client closed the connection")
        self._incoming.write(data)

    async def _flush(self) -> int:
        return await self._sock.send(self._outgoing.read())
