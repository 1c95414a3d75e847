"""Flask in greenlets. Run: gunicorn --worker-class gevent matrix.gevent_app:app"""

from concurrent.futures import ThreadPoolExecutor

import gevent
import gevent.event
import gevent.pool
import gevent.queue
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


@app.get("/pooled/<identity>")
def pooled(identity: str) -> str:
    served, model = truth.current(), request.args["model"]
    gevent.pool.Pool(2).map(lambda _: work.ask(client, served, model), range(3))
    return "done"


@app.get("/native/<identity>")
def native(identity: str) -> str:
    """Threads of gevent's own, which all requests share."""
    return gevent.get_hub().threadpool.apply(work.ask, (client, truth.current(), request.args["model"]))


@app.get("/queued/<identity>")
def queued(identity: str) -> str:
    """A greenlet that the first request starts, and that works for all."""
    if not workers:
        workers.append(gevent.spawn(take_turns))
    result = gevent.event.AsyncResult()
    jobs.put((result, truth.current(), request.args["model"]))
    return result.get()


def take_turns() -> None:
    while True:
        result, served, model = jobs.get()
        result.set(work.ask(client, served, model))


@app.get("/slept/<identity>")
def slept(identity: str) -> str:
    gevent.sleep(0.05)
    return work.ask(client, truth.current(), request.args["model"])


@app.get("/given_up/<identity>")
def given_up(identity: str) -> str:
    """A call that another greenlet makes, which is not waited for to the end."""
    asking = gevent.spawn(work.ask, client, truth.current(), request.args["model"])
    asking.join(timeout=0.01)
    return "done" if asking.ready() else asking.get()


jobs = gevent.queue.Queue()
workers = []
truth.settle()
