"""A resolver that gives 127.0.0.1 for every name, after a delay, and logs when it did."""

import asyncio
import struct

import clock
from log import Log

_A = 1
_HEADER_BYTES = 12


class Resolver(asyncio.DatagramProtocol):
    def __init__(self, log: Log, delay_s: float) -> None:
        self._log = log
        self._delay_s = delay_s

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, query: bytes, client) -> None:
        received_ns = clock.now_ns()
        asyncio.get_running_loop().call_later(self._delay_s, self._answer, query, client, received_ns)

    def _answer(self, query: bytes, client, received_ns: int) -> None:
        name, kind, question = _question(query)
        # An A record that points at the question's name; no data, without an error, for any other type.
        records = [struct.pack(">HHHIH4s", 0xC00C, _A, 1, 60, 4, b"\x7f\0\0\x01")] if kind == _A else []
        header = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0)
        answered_ns = clock.now_ns()
        self._transport.sendto(header + question + b"".join(records), client)
        self._log.write("lookup", name=name, kind=kind, received_ns=received_ns, answered_ns=answered_ns)


async def serve(log: Log, delay_s: float) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Resolver(log, delay_s), local_addr=("127.0.0.1", 53)
    )


def _question(query: bytes) -> tuple[str, int, bytes]:
    """Name, type and bytes of the query's first question (RFC 1035, 4.1.2)."""
    labels = []
    at = _HEADER_BYTES
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    (kind,) = struct.unpack_from(">H", query, at + 1)
    return ".".join(labels), kind, query[_HEADER_BYTES : at + 5]
