"""A run with one call whose ClientHello goes out in two writes, some time apart, as a middlebox or a small buffer may cut it."""

import os
import socket
import ssl
import time

import truth

HOST = "api.openai.com"
REQUEST = (
    "POST /v1/chat/completions HTTP/1.1\r\n"
    f"Host: {HOST}\r\nAuthorization: Bearer plaintext\r\nContent-Length: {{length}}\r\nConnection: close\r\n\r\n{{body}}"
)


def main() -> None:
    with truth.run("split") as this:
        call = this.call()
        body = f'{{"model":"ttft=100,n=3","user":"{call.name}","messages":[{{"role":"user","content":"plaintext"}}]}}'
        answer = ask(REQUEST.format(length=len(body), body=body).encode())
        call.end()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the vendor answered {answer[:40]!r}")
    # The interpreter's own end would come after the truth is written.
    os._exit(0)


def ask(request: bytes) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    with socket.create_connection((HOST, 443)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def more() -> None:
            data = peer.recv(65536)
            incoming.write(data)
            if not data:
                incoming.write_eof()

        hello = True
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                if hello:
                    # Before the server's name, which stands behind the random, the session and the ciphers.
                    peer.sendall(data[:60])
                    time.sleep(0.02)
                    data, hello = data[60:], False
                peer.sendall(data)
                more()
        tls.write(request)
        peer.sendall(outgoing.read())
        answer = b""
        while True:
            try:
                piece = tls.read(65536)
            except ssl.SSLWantReadError:
                more()
                continue
            except ssl.SSLError:
                piece = b""
            if not piece:
                return answer
            answer += piece


if __name__ == "__main__":
    main()
