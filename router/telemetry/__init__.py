"""Takt seen from outside: metrics, logs, traces, and how busy the event loop is.

How to read this package: `registry` declares every metric on top of `family`, and `prometheus` renders them.
`trace` reads and writes the W3C headers; `span` decides which requests are worth spans, and `otel` builds and
exports those after the response. `logs` writes lines to stderr from a thread of its own. `lag` measures the
event loop.

Nothing here may slow a request: counting costs a few us, a span is built after the answer is sent, and
each queue is bounded and counts what it drops. prometheus_client is imported by `prometheus` only,
opentelemetry by `otel` only, and `otel` itself only when an endpoint is configured.
"""
