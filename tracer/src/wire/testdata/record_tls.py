"""Records what a TLS client and a server send each other, as the .hex files beside this script.

Usage: record_tls.py CERTIFICATE KEY   (a self-signed pair for api.openai.com)

Each line is one write: `>` of the client or `<` of the server, then the bytes in hex. The exchange is a handshake,
a request of 500 bytes, an answer of 900 and 50 bytes, and the client's close_notify.
"""

import pathlib
import ssl
import sys


def exchange(version, server_curve=None):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*sys.argv[1:3])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(sys.argv[1])
    client.set_alpn_protocols(["http/1.1"])
    for context in (server, client):
        context.minimum_version = context.maximum_version = version
    if server_curve:
        # Not the group of the client's key share, so that the server asks for another ClientHello.
        server.set_ecdh_curve(server_curve)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    from_client, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls_client = client.wrap_bio(to_client, from_client, server_hostname="api.openai.com")
    tls_server = server.wrap_bio(to_server, from_server, server_side=True)
    writes = []

    def step(action, source, target, mark):
        try:
            action()
        except (ssl.SSLWantReadError, ssl.SSLError):
            pass
        if data := source.read():
            writes.append(f"{mark} {data.hex()}")
            target.write(data)

    for _ in range(4):
        step(tls_client.do_handshake, from_client, to_server, ">")
        step(tls_server.do_handshake, from_server, to_client, "<")
    step(lambda: tls_client.write(b"Q" * 500), from_client, to_server, ">")
    step(lambda: tls_server.write(b"A" * 900), from_server, to_client, "<")
    step(lambda: tls_server.write(b"A" * 50), from_server, to_client, "<")
    step(tls_client.unwrap, from_client, to_server, ">")
    return writes


for name, arguments in {
    "tls12": (ssl.TLSVersion.TLSv1_2,),
    "tls13": (ssl.TLSVersion.TLSv1_3,),
    "tls13_retry": (ssl.TLSVersion.TLSv1_3, "secp384r1"),
}.items():
    path = pathlib.Path(__file__).with_name(f"{name}.hex")
    path.write_text("\n".join(exchange(*arguments)) + "\n")
