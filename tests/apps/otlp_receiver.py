"""A receiver of OTLP that writes down what came. Usage: otlp_receiver.py FILE CERTIFICATE [ADDRESS]

Listens on ADDRESS (127.0.0.1), gRPC on port 4317 and HTTP on port 4318, over TLS on 4327 and 4328, and says `ready`. FILE gets a line of
JSON for each span and each point of a metric, before the sender gets its answer. CERTIFICATE has the key, too.
"""

from __future__ import annotations

import gzip
import json
import ssl
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

TRACES = trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse
METRICS = metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse


class Book:
    def __init__(self, path: str) -> None:
        self._file = open(path, "a")
        self._lock = threading.Lock()

    def write(self, request, **how) -> None:
        lines = spans(request) if hasattr(request, "resource_spans") else points(request)
        text = "".join(json.dumps(line | how) + "\n" for line in lines)
        with self._lock:
            self._file.write(text)
            self._file.flush()


def spans(request):
    for of_resource in request.resource_spans:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": resource,
                    "scope": of_scope.scope.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "start_ns": span.start_time_unix_nano,
                    "end_ns": span.end_time_unix_nano,
                    "is_error": span.status.code == span.status.STATUS_CODE_ERROR,
                    "attributes": attributes(span.attributes),
                    "events": [
                        {"name": event.name, "at_ns": event.time_unix_nano, "attributes": attributes(event.attributes)}
                        for event in span.events
                    ],
                    "links": [{"trace": link.trace_id.hex(), "id": link.span_id.hex()} for link in span.links],
                }


def points(request):
    for of_resource in request.resource_metrics:
        resource = attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    line = {
                        "resource": resource,
                        "metric": metric.name,
                        "unit": metric.unit,
                        "temporality": data.aggregation_temporality,
                        "attributes": attributes(point.attributes),
                        "start_ns": point.start_time_unix_nano,
                        "at_ns": point.time_unix_nano,
                    }
                    if metric.WhichOneof("data") == "histogram":
                        line |= {"count": point.count, "sum": point.sum, "bounds": list(point.explicit_bounds)}
                        line |= {"counts": list(point.bucket_counts)}
                    else:
                        line |= {"value": getattr(point, point.WhichOneof("value"))}
                    yield line


def attributes(pairs) -> dict:
    return {pair.key: value(pair.value) for pair in pairs}


def value(of):
    kind = of.WhichOneof("value")
    return [value(one) for one in of.array_value.values] if kind == "array_value" else getattr(of, kind)


class Grpc:
    def __init__(self, book: Book, answer) -> None:
        self._book, self._answer = book, answer

    def Export(self, request, context):  # noqa: N802
        token = dict(context.invocation_metadata()).get("authorization")
        self._book.write(request, via="grpc", token=token)
        return self._answer()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    book: Book

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request, answer = {"/v1/traces": TRACES, "/v1/metrics": METRICS}[self.path]
        self.book.write(request.FromString(body), via="http", token=self.headers.get("authorization"))
        answered = answer().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answered)))
        self.end_headers()
        self.wfile.write(answered)

    def log_message(self, *_arguments) -> None:
        pass


def main() -> None:
    book, certificate = Book(sys.argv[1]), Path(sys.argv[2])
    address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Grpc(book, TRACES[1]), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Grpc(book, METRICS[1]), server)
    server.add_insecure_port(f"{address}:4317")
    pem = certificate.read_bytes()
    server.add_secure_port(f"{address}:4327", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    Http.book = book
    secure = ThreadingHTTPServer((address, 4328), Http)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    threading.Thread(target=secure.serve_forever, daemon=True).start()
    plain = ThreadingHTTPServer((address, 4318), Http)
    print("ready", file=sys.stderr, flush=True)
    plain.serve_forever()


main()
