#!/bin/bash
# Inside the lab: traces the demo application while requests come in to its four routes. Usage: demo.sh TRACER PYTHON_BIN
set -euo pipefail
tracer=$1 bin=$2
cd "$(dirname "$0")/../apps"

# Job control gives the tracer and the application a process group of their own, which gets the Ctrl-C below.
set -m
"$tracer" record -- "$bin/python" -m uvicorn demo:app --loop asyncio --no-access-log --log-level warning &
"$bin/python" drive.py --requests 8 --concurrency 6 '/wait/{id}' '/cpu/{id}' '/blocking/{id}' '/fanout/{id}'
kill -INT -- -$!
wait $!
