"""An application that makes spans of its own by the SDK of OpenTelemetry, and sends them. Run: uvicorn instrumented:app"""

import httpx
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import work

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter("http://127.0.0.1:4318/v1/traces")))
trace.set_tracer_provider(provider)

app = FastAPI()
FastAPIInstrumentor.instrument_app(app)
HTTPXClientInstrumentor().instrument()
client = httpx.AsyncClient(headers=work.HEADERS)


@app.get("/ask/{identity}")
async def ask(identity: str) -> str:
    question = {"model": "ttft=20,gap=1,n=3", "user": f"{identity}/0", "messages": []}
    answer = await client.post(work.URL, json=question)
    return answer.json()["choices"][0]["message"]["content"]


@app.get("/relay/{identity}")
async def relay(identity: str) -> str:
    """Asks another service, which happens to be this one."""
    answer = await client.get(f"http://127.0.0.1:8000/ask/{identity}")
    return answer.text
