"""The door to opentelemetry: spans are built and exported after the response, in a thread of their own."""

from __future__ import annotations

import importlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from budgets.ledger import STAGES
from router.telemetry.errors import ExporterMissingError
from router.telemetry.span import MOST_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from router.telemetry.span import RequestSpan

_LOGGER = logging.getLogger("takt.spans")
_MAX_REQUESTS = 10 * MOST_PER_S  # an endpoint may be away for 10 s before a trace is lost
_DELAY_S = 1.0
# Building and encoding hold the interpreter lock: a small batch lets the event loop in between.
_BATCH = 20
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OTLP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class SpanExport:
    """Takes answered requests and exports a server span with a child for each stage that was entered.

    The caller only queues the request, its thread does the rest: the SDK's batch processor would want spans that are
    built, and drop the oldest of a full queue with a log line for each. A request that finds no room is dropped whole
    and counted.

    `ReadableSpan`s are made directly, not through a `Tracer`: that takes our ids and times as they are, at a
    fraction of the cost (tests/bench/metric_cost.py).
    """

    def __init__(self, exporter: SpanExporter, version: str, rng: Random, max_requests: int = _MAX_REQUESTS) -> None:
        """Args: rng: makes span ids, in the thread; it must be safe for that, as `SystemRandom` is."""
        self.dropped_total = 0
        self.failed_total = 0
        """Requests whose spans the endpoint did not take."""
        self._exporter = exporter
        self._rng = rng
        self._max_requests = max_requests
        self._waiting: deque[RequestSpan] = deque()
        self._accepted = 0
        self._finished = 0
        self._resource = Resource.create({"service.name": "takt", "service.version": version})
        self._scope = InstrumentationScope("takt", version)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._export_all, name="takt-spans", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Requests handed over whose spans are not yet exported."""
        return self._accepted - self._finished

    def export(self, request: RequestSpan) -> bool:
        """Queue one request; never blocks. Cost: under 1 µs.

        Returns: False when the queue had no room; counted in `dropped_total`.
        """
        if self.queued >= self._max_requests:
            self.dropped_total += 1
            return False
        self._accepted += 1
        self._waiting.append(request)
        return True

    def close(self, timeout_s: float = 2.0) -> bool:
        """Export what is queued; blocks, but no longer than `timeout_s`. False when something was left."""
        self._closed.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()  # also ends an export that still waits for its endpoint
        return self.queued == 0

    # The thread's side.

    def _export_all(self) -> None:
        is_closed = False
        while not is_closed:
            is_closed = self._closed.wait(_DELAY_S)
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
                if not self._export_batch(batch):
                    self.failed_total += len(batch)
                self._finished += len(batch)

    def _export_batch(self, batch: Iterable[RequestSpan]) -> bool:
        try:
            spans = [span for request in batch for span in self._build(request)]
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # an exporter that raises must not end the thread
            _LOGGER.exception("spans_export_failed")
            return False

    def _build(self, request: RequestSpan) -> list[ReadableSpan]:
        trace = request.trace
        state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
        server = SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
        caller = None
        if trace.parent_id:
            caller = SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_state=state)
        spans = []
        start_ns = request.at_ns
        for name, stage_ns in zip(STAGES, request.stages_ns, strict=True):
            if stage_ns:
                span_id = self._rng.getrandbits(64) or 1
                context = SpanContext(trace.trace_id, span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state)
                spans.append(
                    ReadableSpan(
                        name,
                        context,
                        server,
                        self._resource,
                        {},
                        start_time=start_ns,
                        end_time=start_ns + stage_ns,
                        instrumentation_scope=self._scope,
                    )
                )
                start_ns += stage_ns
        status = Status(StatusCode.ERROR if request.failed else StatusCode.UNSET)
        spans.append(
            ReadableSpan(
                f"{request.method} {request.http_route}",
                server,
                caller,
                self._resource,
                _attributes(request),
                kind=SpanKind.SERVER,
                status=status,
                start_time=request.at_ns,
                end_time=start_ns,
                instrumentation_scope=self._scope,
            )
        )
        return spans


def open_otlp(endpoint: str, version: str, rng: Random) -> SpanExport:
    """Export by OTLP over HTTP to `endpoint`, the whole URL.

    Raises: ExporterMissingError: the extra `otlp` is not installed.
    """
    try:
        exporter = importlib.import_module(_OTLP).OTLPSpanExporter(endpoint=endpoint)
    except ModuleNotFoundError as error:
        raise ExporterMissingError(endpoint) from error
    return SpanExport(exporter, version, rng)


def _attributes(request: RequestSpan) -> dict[str, str | int | float]:
    """Name HTTP attributes by the semantic conventions, ours `takt.…`; empty ones are left out."""
    attributes: dict[str, str | int | float] = {
        "http.request.method": request.method,
        "http.route": request.http_route,
        "http.response.status_code": request.status,
        "takt.decision_id": request.decision_id,
        "takt.point": request.point,
        "takt.route": request.route,
        "takt.rung": request.rung,
        "takt.degraded": request.degraded,
        "takt.reason": request.reason,
        "takt.budget_ms": request.budget_ms,
    }
    return {name: value for name, value in attributes.items() if value}
