"""A synchronous application. Run: gunicorn flask_app:app, with sync workers or threads."""

from flask import Flask, request
from openai import OpenAI

import truth
import work

app = Flask(__name__)
app.wsgi_app = truth.Wsgi(app.wsgi_app)
client = OpenAI()
truth.settle()


@app.get("/ask/<identity>")
def ask(identity: str) -> str:
    model = request.args.get("model", "ttft=100-300,gap=10,n=10")
    return work.ask(client, truth.current(), model)


@app.get("/cpu/<identity>")
def cpu(identity: str) -> str:
    return work.burn(float(request.args.get("ms", "50")))
