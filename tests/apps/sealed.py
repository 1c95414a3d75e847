"""A run of calls by clients that have TLS of their own, into which nobody can look: grpcio's BoringSSL and rustls.

Usage: sealed.py CERTIFICATE
"""

import json
import sys
import time
from pathlib import Path

import grpc
from pyreqwest.client import SyncClientBuilder

import truth


def ask_grpc(this: truth.Request, authority: bytes) -> None:
    credentials = grpc.ssl_channel_credentials(authority)
    with grpc.secure_channel("api.x.ai:50051", credentials) as channel:
        chat = channel.unary_stream("/xai_api.Chat/GetCompletionChunk")
        for _ in range(4):
            # A question to a model is longer than what HTTP/2 says of itself.
            for _ in chat(this.call().name.ljust(200).encode()):
                pass
            time.sleep(0.1)


def ask_rustls(this: truth.Request, authority: bytes) -> None:
    with SyncClientBuilder().add_root_certificate_pem(authority).build() as client:
        for _ in range(4):
            name = this.call().name
            body = {"model": "ttft=120,gap=20,n=5", "user": name, "stream": True, "messages": []}
            request = client.post("https://api.openai.com/v1/chat/completions").body_text(json.dumps(body))
            request.header("content-type", "application/json").build().send().text()
            time.sleep(0.1)


with truth.run("sealed") as this:
    authority = Path(sys.argv[1]).read_bytes()
    ask_grpc(this, authority)
    ask_rustls(this, authority)
