"""A synchronous application. Run: gunicorn flask_app:app, with sync workers or threads."""

from flask import Flask, request
from openai import OpenAI

import truth
import work

app = Flask(__name__)
client = OpenAI()


@app.get("/ask/<identity>")
def ask(identity: str) -> str:
    model = request.args.get("model", "ttft=100-300,gap=10,n=10")
    with truth.request(identity, "/ask") as this:
        return work.ask(client, this, model)


@app.get("/cpu/<identity>")
def cpu(identity: str) -> str:
    with truth.request(identity, "/cpu"):
        return work.burn(float(request.args.get("ms", "50")))
