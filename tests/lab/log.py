"""A log of the truth: one JSON object a line."""

import json
import threading


class Log:
    def __init__(self, path: str) -> None:
        # Line by line and appending, so that several processes can share a file.
        self._file = open(path, "a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(line)
