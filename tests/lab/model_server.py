"""llama.cpp's own server, in this process: one thread, four requests at once. Usage: model_server.py FILE PORT

Serves the model of FILE on 127.0.0.1, says `ready` on stdout, and ends by SIGTERM or SIGINT. llama.cpp's log is on stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request

import xllamacpp

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main(file: str, port: int) -> None:
    # Before the server's threads start, so that none of them gets a signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    server = xllamacpp.Server(parameters(file, port))
    wait_until_healthy(server.listening_address)
    print("ready", flush=True)
    signal.sigwait(SIGNALS)
    # The server's own end waits for all who still listen to an answer.
    os._exit(0)


def parameters(file: str, port: int) -> xllamacpp.CommonParams:
    to = xllamacpp.CommonParams()
    to.model.path = file
    to.hostnames, to.port = ["127.0.0.1"], port
    to.n_parallel = 4
    to.cpuparams.n_threads = to.cpuparams_batch.n_threads = 1
    to.sampling.seed = 0
    to.embedding, to.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # Of prompts whose slot another one has taken; by default, up to 8 GB.
    to.cache_ram_mib = 0
    return to


def wait_until_healthy(address: str) -> None:
    while True:
        try:
            urllib.request.urlopen(f"{address}/health").close()
            return
        except urllib.error.URLError:
            time.sleep(0.05)


main(sys.argv[1], int(sys.argv[2]))
