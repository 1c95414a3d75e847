"""One process accepts connections, and hands them to another one that serves them. Run: python handoff.py 8000"""

import os
import socket
import sys
from urllib.parse import parse_qs, urlsplit

from openai import OpenAI

import truth
import work

WORKERS = 2


def accept(listener: socket.socket, workers: list[socket.socket]) -> None:
    while True:
        for worker in workers:
            connection, _ = listener.accept()
            socket.send_fds(worker, [b"x"], [connection.fileno()])
            connection.close()


def serve(parent: socket.socket) -> None:
    client = OpenAI(max_retries=0, timeout=300)
    truth.settle()
    while True:
        _, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
        if not descriptors:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            answer(connection, client)


def answer(connection: socket.socket, client: OpenAI) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := connection.recv(65536)):
            return
        head += data
    target = urlsplit(head.split(b" ", 2)[1].decode())
    _, route, identity = target.path.split("/", 2)
    request = truth.Request(identity, f"/{route}")
    with truth.thread_of(request):
        words = work.ask(client, request, parse_qs(target.query)["model"][0]).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(words), words)
        )
    request.end()


workers = []
for _ in range(WORKERS):
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    workers.append(ours)
accept(socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128), workers)
