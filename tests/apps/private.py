"""A server and its caller: everything that is nobody's business has the word SECRET in it: prompts, answers, headers, query strings, bodies
of callers, what looks like a protocol inside of these, and arguments of the command line."""

import asyncio
import http.client
import http.server
import json
import sys
import threading

from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

SECRET = "SECRET-7f3a"
# Words of the answer are made of the field `user`.
ASKED = {
    "user": f"{SECRET}-answer",
    "messages": [
        {"role": "system", "content": f'"model":"{SECRET}-model","usage":{{"prompt_tokens":1}},"stream":true'},
        {"role": "user", "content": f"GET /{SECRET}-path HTTP/1.1\r\nHost: {SECRET}.example.com\r\n\r\n" * 40},
    ],
    "extra_headers": {"x-private": f"{SECRET}-header", "cookie": f"session={SECRET}-cookie"},
    "extra_query": {"key": f"{SECRET}-query"},
}
HTTP2 = "--http2" in sys.argv
MODELS = ["ttft=20,gap=5,n=5", "ttft=20,gap=0,n=2000"]


class Caller(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        make_calls()
        body = json.dumps({"model": "none", "content": f"{SECRET}-reply"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", f"session={SECRET}-cookie")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def post(host: str, port: int, path: str, body: dict) -> None:
    connection = http.client.HTTPConnection(host, port)
    headers = {"authorization": f"Bearer {SECRET}-key", "content-type": "application/json"}
    connection.request("POST", f"{path}?token={SECRET}-query", json.dumps(body), headers)
    connection.getresponse().read()
    connection.close()


async def ask() -> None:
    http = DefaultAsyncHttpxClient(http2=HTTP2)
    async with AsyncOpenAI(api_key=f"{SECRET}-key", http_client=http) as client:
        for model in MODELS:
            async for _ in await client.chat.completions.create(model=model, stream=True, **ASKED):
                pass


def make_calls() -> None:
    client = OpenAI(api_key=f"{SECRET}-key", http_client=DefaultHttpxClient(http2=HTTP2))
    for model in MODELS:
        client.chat.completions.create(model=model, **ASKED)
    asyncio.run(ask())
    question = {"messages": [{"role": "user", "content": f"{SECRET}-prompt " * 500}], "model": "ttft=5,n=300"}
    post("localhost", 11434, "/api/chat", question)


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8009), Caller)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    post("127.0.0.1", 8009, "/ask", {"prompt": f"{SECRET}-prompt " * 500})
    server.shutdown()


main()
