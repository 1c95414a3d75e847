"""Flask. Run: gunicorn matrix.flask_app:app, with sync workers or threads"""

from flask import Flask, request

import truth
from matrix.sync_styles import STYLES

app = Flask(__name__)
app.wsgi_app = truth.Wsgi(app.wsgi_app)


@app.get("/<style>/<identity>")
def serve(style: str, identity: str) -> str:
    STYLES[style](truth.current(), request.args["model"])
    return "done"


truth.settle()
