"""A vendor that speaks gRPC: a stream of words for each call, with the log of when each went out. Usage: grpc_vendor.py DIR

It says `ready` on stderr, and stays until it is terminated. Needs grpcio, and the lab's certificate in DIR.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from log import Log

PORT = 50051
WORDS = 5
TTFT_S, GAP_S = 0.15, 0.02


class Chat(grpc.GenericRpcHandler):
    def __init__(self, log: Log) -> None:
        self._log = log

    def service(self, _details):
        return grpc.unary_stream_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, _context):
        received_ns = time.monotonic_ns()
        sent_ns = []
        for i in range(WORDS):
            time.sleep(TTFT_S if i == 0 else GAP_S)
            sent_ns.append(time.monotonic_ns())
            yield b"word " * 20
        self._log.write("grpc", call=request.decode().strip(), received_ns=received_ns, sent_ns=sent_ns)


def main() -> None:
    directory = Path(sys.argv[1])
    pem = (directory / "server.pem").read_bytes()
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Chat(Log(str(directory / "grpc.jsonl"))),))
    server.add_secure_port(f"127.0.0.1:{PORT}", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    print("ready", file=sys.stderr, flush=True)
    server.wait_for_termination()


main()
