"""Changes what `runc spec` wrote: which cgroup the container is in, and what of Python it runs.

Usage: bundle.py FILE CGROUP ARGUMENT...
"""

import json
import sys

file, cgroup, *arguments = sys.argv[1:]
with open(file) as text:
    spec = json.load(text)
spec["process"] |= {"terminal": False, "args": ["/usr/bin/python3", *arguments]}
spec["linux"]["cgroupsPath"] = cgroup
with open(file, "w") as text:
    json.dump(spec, text)
