"""An HTTP proxy that opens tunnels (CONNECT), and nothing else."""

import asyncio


async def serve(port: int) -> asyncio.Server:
    return await asyncio.start_server(_client, "127.0.0.1", port, backlog=4096)


async def _client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        if method != b"CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            return
        host, port = target.decode().rsplit(":", 1)
        answers, requests = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass_on(reader, requests), _pass_on(answers, writer))
    except (OSError, asyncio.IncompleteReadError):
        # Either side may hang up at any time.
        pass
    finally:
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
