"""The door to opentelemetry: spans built after the response, exported by the SDK's own thread."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from budgets.ledger import STAGES
from router.telemetry.errors import ExporterMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from router.telemetry.span import RequestSpan

_MAX_SPANS = 2_048  # the SDK's default; about 2 MB
_BATCH, _DELAY_MS = 512, 1_000
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_OTLP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class SpanExport:
    """Takes answered requests and exports a server span with a child for each stage that was entered.

    The SDK's batch processor would drop the oldest spans of a full queue and log a line for each. So its
    queue is kept from ever being full: what is handed over and not yet exported is counted here, and a
    request whose spans would not fit is dropped whole and counted.

    `ReadableSpan`s are made directly, not through a `Tracer`: that takes our ids and times as they are, at a
    fraction of the cost (tests/bench/metric_cost.py).
    """

    def __init__(
        self, exporter: SpanExporter, version: str, rng: Random, max_spans: int = _MAX_SPANS
    ) -> None:
        self.dropped_total = 0
        self._exporter = _CountingExporter(exporter)
        self._rng = rng
        self._max_spans = max_spans
        self._submitted = 0
        self._resource = Resource.create({"service.name": "takt", "service.version": version})
        self._scope = InstrumentationScope("takt", version)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=max_spans,
            schedule_delay_millis=_DELAY_MS,
            max_export_batch_size=min(_BATCH, max_spans),
        )

    @property
    def queued(self) -> int:
        """Spans handed over and not yet exported."""
        return self._submitted - self._exporter.finished

    @property
    def failed_total(self) -> int:
        """Requests whose spans the endpoint did not take."""
        return self._exporter.failed_total

    def export(self, request: RequestSpan) -> bool:
        """Build and queue the spans of one request; never blocks.

        Returns: False when the queue had no room; counted in `dropped_total`.
        """
        entered = sum(1 for stage_ns in request.stages_ns if stage_ns)
        if self.queued + entered + 1 > self._max_spans:
            self.dropped_total += 1
            return False
        spans = self._build(request)
        self._submitted += len(spans)
        for span in spans:
            self._processor.on_end(span)
        return True

    def close(self, timeout_s: float = 2.0) -> bool:
        """Export what is queued; blocks, but no longer than `timeout_s`. False when something was left."""
        # The processor itself would wait 30 s for an endpoint that is down.
        closing = threading.Thread(target=self._processor.shutdown, name="takt-spans-close", daemon=True)
        closing.start()
        closing.join(timeout_s)
        if closing.is_alive():
            self._exporter.shutdown()
        return self.queued == 0

    def _build(self, request: RequestSpan) -> list[ReadableSpan]:
        trace = request.trace
        state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
        server = SpanContext(
            trace.trace_id, trace.span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state
        )
        caller = None
        if trace.parent_id:
            caller = SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_state=state)
        spans = []
        start_ns = request.at_ns
        for name, stage_ns in zip(STAGES, request.stages_ns, strict=True):
            if stage_ns:
                span_id = self._rng.getrandbits(64) or 1
                context = SpanContext(
                    trace.trace_id, span_id, is_remote=False, trace_flags=_SAMPLED, trace_state=state
                )
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


class _CountingExporter(SpanExporter):
    """Counts what leaves the processor's queue, exported or not. Runs in the processor's thread."""

    def __init__(self, inner: SpanExporter) -> None:
        self.finished = 0
        self.failed_total = 0
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self.failed_total += sum(1 for span in spans if span.kind is SpanKind.SERVER)
            self.finished += len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


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
