"""The caller of edge.py: sends what drive.py does not, and logs the same. Usage: edges.py PORT TRUTH_FILE

Everything that a tracer must not keep has the word `plaintext` in it.
"""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h11
import wsproto
from wsproto import events

sys.path.append(str(Path(__file__).resolve().parent.parent / "lab"))
import clock  # noqa: E402
from log import Log  # noqa: E402

HEADERS = [("host", "lab"), ("authorization", "Bearer plaintext")]
READ_BYTES = 65536


def main(port: int, truth: str) -> None:
    log = Log(truth)
    for edge in (upload, pipeline, hang_up, chat):
        with connect(port) as peer:
            for record in edge(peer):
                log.write("response", **record)


def upload(peer: socket.socket) -> Iterator[dict]:
    """A chunked body that takes its time."""
    http = h11.Connection(h11.CLIENT)
    path = "/upload/chunked"
    headers = [*HEADERS, ("transfer-encoding", "chunked")]
    sent_ns = clock.now_ns()
    peer.sendall(http.send(h11.Request(method="POST", target=f"{path}?q=plaintext", headers=headers)))
    for _ in range(5):
        time.sleep(0.03)
        peer.sendall(http.send(h11.Data(data=b"plaintext" * 1000)))
    peer.sendall(http.send(h11.EndOfMessage()))
    yield {"id": "chunked", "path": path, "sent_ns": sent_ns, **answer(peer, http)}


def pipeline(peer: socket.socket) -> Iterator[dict]:
    """Three requests in one piece."""
    http = h11.Connection(h11.CLIENT)
    names = ["first", "second", "third"]
    heads = [h11.Request(method="GET", target=f"/quick/{name}?q=plaintext", headers=HEADERS) for name in names]
    # h11 knows one exchange at a time, so others make the bytes.
    data = b"".join(h11.Connection(h11.CLIENT).send(head) for head in heads)
    sent_ns = clock.now_ns()
    peer.sendall(data)
    for name, head in zip(names, heads):
        http.send(head)
        http.send(h11.EndOfMessage())
        yield {"id": name, "path": f"/quick/{name}", "sent_ns": sent_ns, **answer(peer, http)}
        http.start_next_cycle()


def hang_up(peer: socket.socket) -> Iterator[dict]:
    """Leaves in the middle of the answer."""
    http = h11.Connection(h11.CLIENT)
    sent_ns = clock.now_ns()
    peer.sendall(http.send(h11.Request(method="GET", target="/slow/left", headers=HEADERS)))
    time.sleep(0.15)
    http.receive_data(peer.recv(READ_BYTES))
    status = http.next_event().status_code
    peer.close()
    yield {"id": "left", "path": "/slow/left", "sent_ns": sent_ns, "status": status, "last_byte_ns": clock.now_ns()}


def chat(peer: socket.socket) -> Iterator[dict]:
    """A WebSocket with five messages, each echoed."""
    web = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    sent_ns = clock.now_ns()
    peer.sendall(web.send(events.Request(host="lab", target="/echo/socket?q=plaintext")))
    receive(peer, web, events.AcceptConnection)
    for _ in range(5):
        peer.sendall(web.send(events.TextMessage(data="plaintext")))
        receive(peer, web, events.TextMessage)
    peer.sendall(web.send(events.CloseConnection(code=1000)))
    receive(peer, web, events.CloseConnection)
    # The request lasts until the server closes the connection.
    while peer.recv(READ_BYTES):
        pass
    yield {"id": "socket", "path": "/echo/socket", "sent_ns": sent_ns, "status": 101, "last_byte_ns": clock.now_ns()}


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def answer(peer: socket.socket, http: h11.Connection) -> dict:
    status = None
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(peer.recv(READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.EndOfMessage):
            return {"status": status, "last_byte_ns": clock.now_ns()}


def receive(peer: socket.socket, web: wsproto.WSConnection, kind: type) -> None:
    while not any([isinstance(event, kind) for event in web.events()]):
        web.receive_data(peer.recv(READ_BYTES))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
