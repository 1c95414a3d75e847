"""A run that makes so many events a second for so long: events.py EVENTS SECONDS. A byte that goes round makes three."""

import socket
import sys
import time

events, seconds = (float(argument) for argument in sys.argv[1:])
# Every 2 ms.
bytes_at_once = int(events / 3 * 0.002)
listener = socket.create_server(("127.0.0.1", 0))
here = socket.create_connection(listener.getsockname())
there, _ = listener.accept()
next_s = time.monotonic()
end_s = next_s + seconds
while next_s < end_s:
    for _ in range(bytes_at_once):
        here.send(b"x")
        there.recv(1)
    next_s += 0.002
    time.sleep(max(0, next_s - time.monotonic()))
