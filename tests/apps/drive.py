"""Sends requests and logs when each was sent and answered.

    drive.py --port 8000 --requests 20 --concurrency 10 /wait/{id} /cpu/{id}?ms=30

Each path gets so many requests, all paths by turns; `{id}` becomes the request's name.
"""

import argparse
import asyncio
import hashlib
import socket
import sys
from pathlib import Path

import h11

sys.path.append(str(Path(__file__).resolve().parent.parent / "lab"))
import clock  # noqa: E402
from log import Log  # noqa: E402
from timed_socket import TimedSocket  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--requests", type=int, default=10, help="for each path")
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--stagger-ms", type=float, default=0, help="between the starts of two workers")
    parser.add_argument("--rate", type=float, help="requests a second at most, begun at even intervals")
    parser.add_argument("--prefix", default="", help="of the requests' names")
    parser.add_argument("--fresh", action="store_true", help="a connection for each request")
    parser.add_argument("--wait", type=float, default=30, help="seconds for the server to come up")
    parser.add_argument("--truth", help="file for a line of JSON for each request")
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    return asyncio.run(drive(arguments))


async def drive(arguments: argparse.Namespace) -> int:
    await server_up(arguments.port, arguments.wait)
    log = Log(arguments.truth) if arguments.truth else None
    pace = Pace(arguments.rate)
    targets = iter(
        [
            (f"{arguments.prefix}{len(arguments.paths) * i + j}", path)
            for i in range(arguments.requests)
            for j, path in enumerate(arguments.paths)
        ]
    )
    workers = (worker(arguments, number, targets, pace, log) for number in range(arguments.concurrency))
    failures = sum(await asyncio.gather(*workers))
    if failures:
        print(f"drive: {failures} requests failed", file=sys.stderr)
    return 1 if failures else 0


class Pace:
    """When the next request may begin."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0
        self._next = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        begin, self._next = self._next, self._next + self._interval
        if self._interval:
            await asyncio.sleep(begin - asyncio.get_running_loop().time())


async def server_up(port: int, seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if asyncio.get_running_loop().time() > deadline:
                sys.exit(f"drive: nothing listens on port {port} after {seconds} s")
            await asyncio.sleep(0.05)


async def worker(arguments: argparse.Namespace, number: int, targets, pace: Pace, log: Log | None) -> int:
    """Takes a target after the other; the number of failures."""
    await asyncio.sleep(number * arguments.stagger_ms / 1000)
    failures = 0
    connection = None
    for name, path in targets:
        await pace.wait()
        connection = connection or Connection(arguments.port)
        record = {"id": name, "path": path.format(id=name)}
        try:
            await connection.get(record)
            failures += record["status"] != 200
        except (OSError, h11.ProtocolError) as error:
            record["error"] = f"{type(error).__name__}: {error}"
            failures += 1
        if log:
            log.write("response", **record)
        if arguments.fresh or not connection.reusable():
            connection.close()
            connection = None
    if connection:
        connection.close()
    return failures


class Connection:
    def __init__(self, port: int) -> None:
        self._sock = TimedSocket(socket.create_connection(("127.0.0.1", port)))
        self._http = h11.Connection(h11.CLIENT)

    async def get(self, record: dict) -> None:
        """Fills in what is known of the exchange, also when it fails in the middle."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        request = h11.Request(method="GET", target=record["path"], headers=[("host", "lab"), ("accept", "*/*")])
        data = self._http.send(request) + self._http.send(h11.EndOfMessage())
        record["sent_ns"] = await self._sock.send(data)
        digest, size = hashlib.sha256(), 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data, arrival_ns = await self._sock.receive()
                if data:
                    record.setdefault("first_byte_ns", arrival_ns)
                    record["last_byte_ns"] = arrival_ns
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                record["status"] = event.status_code
            elif isinstance(event, h11.Data):
                digest.update(event.data)
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                record |= {"bytes": size, "sha256": digest.hexdigest(), "read_ns": clock.now_ns()}
                return

    def reusable(self) -> bool:
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def close(self) -> None:
        self._sock.close()


if __name__ == "__main__":
    sys.exit(main())
