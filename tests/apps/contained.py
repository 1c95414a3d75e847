"""What runs in a container: a server with a client of its own, both in one process, and a known number of collections. At the
end it prints how many there were, with those while it started.

Usage: contained.py REQUESTS COLLECTIONS [FILE]

It begins once the file is there, as its root folder has it.
"""

import gc
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(0.01)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


gc.disable()
requests, collections = int(sys.argv[1]), int(sys.argv[2])
print("started", file=sys.stderr, flush=True)
while len(sys.argv) > 3 and not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
if requests:
    # Several in one container have one network.
    server = ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
for number in range(requests):
    with urllib.request.urlopen(f"http://127.0.0.1:8000/work/{number}") as answer:
        answer.read()
for _ in range(collections):
    gc.collect()
print(sum(generation["collections"] for generation in gc.get_stats()), flush=True)
# The end of the interpreter collects as often as it likes.
os._exit(0)
