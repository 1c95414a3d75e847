"""A program that a request starts to ask the vendor. Run: python -m matrix.child NAME MODEL"""

import json
import sys
import urllib.request

name, model = sys.argv[1:]
question = {"model": model, "user": name, "stream": True, "messages": [{"role": "user", "content": "?"}]}
request = urllib.request.Request(
    "https://api.openai.com/v1/chat/completions",
    json.dumps(question).encode(),
    {"content-type": "application/json", "authorization": "Bearer sk-lab"},
)
with urllib.request.urlopen(request, timeout=300) as answer:
    answer.read()
