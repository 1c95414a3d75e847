"""Streamed calls by OpenAI's client, under a tracer that is put into the application or none. Usage: sdk_tracers.py NAME

For each line on stdin it makes CALLS calls of 10 chunks and prints what CPU time they took. Spans end in memory: what it
takes to send them is not measured.
"""

from __future__ import annotations

import json
import os
import sys
import time

CALLS = 60
MODEL = "ttft=1,gap=0,n=10"
MESSAGES = [{"role": "user", "content": "What is the answer? " * 20}]


def provider():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(Nowhere()))
    return made


def none():
    from openai import OpenAI

    return OpenAI()


def openinference():
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())
    return none()


def traceloop():
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider())
    return none()


def logfire():
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    client = none()
    logfire.instrument_openai(client)
    return client


def langfuse():
    os.environ |= {"LANGFUSE_PUBLIC_KEY": "pk-lab", "LANGFUSE_SECRET_KEY": "sk-lab", "LANGFUSE_HOST": "http://127.0.0.1:9"}
    from langfuse.openai import OpenAI

    return OpenAI()


def main() -> None:
    client = {f.__name__: f for f in (none, openinference, traceloop, logfire, langfuse)}[sys.argv[1]]()

    def call() -> None:
        for _ in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            pass

    for _ in range(CALLS):
        call()
    for _ in sys.stdin:
        before_ns = time.process_time_ns()
        for _ in range(CALLS):
            call()
        print(json.dumps({"cpu_ns": (time.process_time_ns() - before_ns) // CALLS}), flush=True)


main()
