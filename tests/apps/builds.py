"""A server on the standard library alone, which programs are made of, and servers that embed Python load.
Run: python builds.py PORT; the others load `application`."""

import http.client
import json
import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import truth

HEADERS = {"authorization": "Bearer sk-lab", "content-type": "application/json"}
MODEL = "ttft=50-150,gap=10,n=10"


def ask(environ, start_response):
    call = truth.current().call()
    asked = {"model": MODEL, "stream": True, "user": call.name, "messages": [{"role": "user", "content": "?"}]}
    vendor = http.client.HTTPSConnection("api.openai.com", context=ssl.create_default_context())
    vendor.request("POST", "/v1/chat/completions", json.dumps(asked), HEADERS)
    answer = vendor.getresponse()
    while answer.read1(65536):
        call.chunk()
    vendor.close()
    call.end()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "5")])
    return [b"done\n"]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 100


class Quiet(WSGIRequestHandler):
    def log_message(self, *_) -> None:
        pass


application = truth.Wsgi(ask)

if __name__ == "__main__":
    make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
