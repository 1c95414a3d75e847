"""A run that burns CPU in functions which call each other so deep: deep.py DEPTH MS"""

import sys

import truth
import work


def deep(depth: int, ms: float) -> None:
    if depth > 0:
        deep(depth - 1, ms)
    else:
        work.burn(ms)


with truth.run("deep"):
    deep(int(sys.argv[1]), float(sys.argv[2]))
