"""What telemetry costs a request, against the usual library doing the same.

Run: python -m tests.bench.metric_cost. Quote the ratios; single times vary with the machine.
"""

from __future__ import annotations

from random import Random
from timeit import repeat
from typing import TYPE_CHECKING

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, Counter, Histogram

from budgets.ledger import STAGES
from router.telemetry import trace
from router.telemetry.otel import SpanExport
from router.telemetry.prometheus import Exposition
from router.telemetry.registry import DEGRADED, REQUEST_EDGES_NS, RUNGS, STAGE_EDGES_NS, Metrics
from router.telemetry.span import RequestSpan

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 9
AMPLE_SPANS = 1_000_000
LABELS = ("interactions", "small", "none", "model")
ALL_STAGES = [1_000 * (7 * place + 3) for place in range(len(STAGES))]
SMALL_STAGES = [ns if name in {"parse", "admit", "floor", "cache", "infer", "policy", "encode"} else 0
                for name, ns in zip(STAGES, ALL_STAGES, strict=True)]  # fmt: skip


def cost_us(action: Callable[[], object], calls: int) -> float:
    """Microseconds a call, the best of some rounds: the others were disturbed."""
    return min(repeat(action, number=calls, repeat=ROUNDS)) / calls * 1e6


def prometheus_baseline(stages_ns: list[int]) -> Callable[[], None]:
    """The same counting with prometheus_client, its children looked up beforehand: its best case."""
    registry = CollectorRegistry()
    requests = Counter("requests", "x", ["point", "rung", "degraded", "reason"], registry=registry).labels(*LABELS)
    met = Counter("budget_met", "x", ["point"], registry=registry).labels(LABELS[0])
    request_edges = [ns / 1e9 for ns in REQUEST_EDGES_NS]
    elapsed = Histogram("request_seconds", "x", ["point"], buckets=request_edges, registry=registry).labels(LABELS[0])
    stage_edges = [ns / 1e9 for ns in STAGE_EDGES_NS]
    stage = Histogram("stage_seconds", "x", ["stage"], buckets=stage_edges, registry=registry)
    stages = [stage.labels(name) for name in STAGES]

    def observe() -> None:
        requests.inc()
        met.inc()
        elapsed.observe(0.0041)
        for child, ns in zip(stages, stages_ns, strict=True):
            if ns:
                child.observe(ns / 1e9)

    return observe


def metric_costs() -> None:
    metrics = Metrics()
    for name, stages_ns in (("7 stages entered", SMALL_STAGES), ("all 11 stages", ALL_STAGES)):
        ours = cost_us(lambda s=stages_ns: metrics.observe_decision(*LABELS, 4_100_000, True, s), 20_000)  # type: ignore[misc]
        theirs = cost_us(prometheus_baseline(stages_ns), 5_000)
        print(f"observe_decision, {name:<17} {ours:6.2f} us  prometheus {theirs:6.2f} us  {theirs / ours:.1f} x")
    child = metrics.refused.child("queue_full")
    print(f"child.inc()                        {cost_us(child.inc, 200_000):7.3f} us")
    for rung in RUNGS:
        for degraded in DEGRADED:
            metrics.observe_decision("interactions", rung, degraded, "model", 4_100_000, True, ALL_STAGES)
    page, _ = Exposition(metrics).render()
    scrape_us = cost_us(Exposition(metrics).render, 20)
    print(f"one scrape, {page.count(b'takt_')} lines              {scrape_us:7.0f} us")


def span_costs() -> None:
    rng = Random(1)
    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    print(f"trace.join, no header              {cost_us(lambda: trace.join(None, None, rng), 5_000):7.2f} us")
    print(f"trace.join, traceparent            {cost_us(lambda: trace.join(header, None, rng), 5_000):7.2f} us")
    request = RequestSpan(
        trace=trace.join(None, None, rng),
        at_ns=0,
        stages_ns=SMALL_STAGES,
        method="POST",
        http_route="/v1/interactions",
        status=200,
    )
    export = SpanExport(InMemorySpanExporter(), "bench", rng, max_requests=AMPLE_SPANS)
    queued = cost_us(lambda: export.export(request), 2_000)
    export.close()
    built = cost_us(lambda: export._build(request), 200)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter(), max_queue_size=AMPLE_SPANS))
    tracer = provider.get_tracer("bench")

    def live() -> None:
        server = tracer.start_span("POST /v1/interactions")
        context = otel_trace.set_span_in_context(server)
        for name, ns in zip(STAGES, SMALL_STAGES, strict=True):
            if ns:
                tracer.start_span(name, context).end()
        server.end()

    theirs = cost_us(live, 200)
    provider.shutdown()
    print(f"a kept request, on the event loop  {queued:7.2f} us")
    print(f"its spans, in the thread     {built:7.1f} us   SDK tracer {theirs:7.1f} us  {theirs / built:.1f} x")


if __name__ == "__main__":
    metric_costs()
    span_costs()
