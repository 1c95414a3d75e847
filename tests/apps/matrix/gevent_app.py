"""Flask in greenlets. Run: gunicorn --worker-class gevent matrix.gevent_app:app"""

from concurrent.futures import ThreadPoolExecutor

import gevent
from flask import Flask, request
from openai import OpenAI

import truth
import work

app = Flask(__name__)
app.wsgi_app = truth.Wsgi(app.wsgi_app, counts_cpu=False)
client = OpenAI(max_retries=0, timeout=300)
pool = ThreadPoolExecutor(8)


@app.get("/ask/<identity>")
def ask(identity: str) -> str:
    return work.ask(client, truth.current(), request.args["model"])


@app.get("/spawn/<identity>")
def spawn(identity: str) -> str:
    """Greenlets that know nothing of the request's contextvars."""
    served, model = truth.current(), request.args["model"]
    gevent.joinall([gevent.spawn(work.ask, client, served, model) for _ in range(2)], raise_error=True)
    return "done"


@app.get("/submit/<identity>")
def submit(identity: str) -> str:
    served, model = truth.current(), request.args["model"]
    return pool.submit(work.ask, client, served, model).result()


truth.settle()
