"""The line of every instruction of the standard library, as CPython tells it: a line of JSON for each code object.

[first line, line table in hex, [line, how many instructions in a row have it, ...]], where -1 is none.
"""

import ctypes
import importlib.util
import json
import marshal
import os
import sysconfig

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.argtypes = [ctypes.py_object, ctypes.c_int]


def code_of(path):
    """Compiled, as it was when the interpreter was installed where it was."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            return marshal.loads(file.read()[16:])
    except OSError:
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True)


def show(code):
    lines = []
    for offset in range(0, len(code.co_code), 2):
        line = addr2line(code, offset)
        if lines and lines[-2] == line:
            lines[-1] += 1
        else:
            lines += [line, 1]
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    print(json.dumps([code.co_firstlineno, table.hex(), lines], separators=(",", ":")))
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            show(constant)


for folder, folders, files in os.walk(sysconfig.get_path("stdlib")):
    folders[:] = [name for name in folders if name not in ("test", "tests", "site-packages", "dist-packages", "lib2to3")]
    for name in files:
        if name.endswith(".py"):
            show(code_of(os.path.join(folder, name)))
