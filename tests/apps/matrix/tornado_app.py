"""Tornado. Run: python -m matrix.tornado_app 8000"""

import asyncio
import sys

from tornado.web import Application, RequestHandler

import truth
from matrix.styles import STYLES


class Serve(RequestHandler):
    async def get(self, style: str) -> None:
        with truth.serving(self.request.path) as served:
            await STYLES[style](served, self.get_query_argument("model"))
        self.write("done")


async def main() -> None:
    Application([(r"/(\w+)/.*", Serve)]).listen(int(sys.argv[1]), "127.0.0.1", backlog=2048)
    truth.settle()
    await asyncio.Event().wait()


truth.count_steps()
asyncio.run(main())
