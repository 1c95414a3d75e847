"""A run without a server: two calls and some CPU. Usage: script.py [EXIT_CODE]"""

import gc
import sys

from openai import OpenAI

import truth
import work

with truth.run("script") as this:
    client = OpenAI()
    print(work.ask(client, this, "ttft=150,gap=10,n=10"))
    work.burn(100)
    print(work.ask_whole(client, this, "ttft=250,n=10"))
    # The collections at the interpreter's exit come after the truth is written: leave them nothing to do.
    gc.freeze()

sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
