from __future__ import annotations

import sys
import threading
from random import Random
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from budgets.ledger import STAGES
from router.telemetry import otel, trace
from router.telemetry.errors import ExporterMissingError
from router.telemetry.otel import SpanExport
from router.telemetry.span import RequestSpan, open_export

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

AT = 1_700_000_000_000_000_000
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def request(traceparent: str | None = TRACEPARENT, *, failed: bool = False, **stages_ns: int) -> RequestSpan:
    return RequestSpan(
        trace=trace.join(traceparent, "vendor=1", Random(1)),
        at_ns=AT,
        stages_ns=[stages_ns.get(stage, 0) for stage in STAGES],
        method="POST",
        http_route="/v1/interactions",
        status=200,
        failed=failed,
        decision_id="d-1",
        rung="small",
        budget_ms=50.0,
    )


def exported(*requests: RequestSpan) -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    export = SpanExport(memory, "1.0", Random(2))
    assert all(export.export(one) for one in requests)
    # The SDK's exporter forgets nothing when it is shut down.
    assert export.close()
    return list(memory.get_finished_spans())


def test_one_server_span_and_a_child_for_each_stage_that_was_entered() -> None:
    *stages, server = exported(request(parse=10, infer=300, encode=5))
    assert [(span.name, span.start_time, span.end_time) for span in stages] == [
        ("parse", AT, AT + 10),
        ("infer", AT + 10, AT + 310),
        ("encode", AT + 310, AT + 315),
    ]
    assert (server.name, server.kind) == ("POST /v1/interactions", SpanKind.SERVER)
    assert (server.start_time, server.end_time) == (AT, AT + 315)
    assert server.context is not None
    for span in stages:
        assert span.kind is SpanKind.INTERNAL
        assert span.context is not None
        assert span.parent is not None
        assert span.parent.span_id == server.context.span_id
        assert span.context.trace_id == server.context.trace_id
    assert len({span.context.span_id for span in [*stages, server] if span.context}) == 4


def test_the_server_span_continues_the_callers_trace() -> None:
    context = request().trace
    server = exported(request(parse=1))[-1]
    assert server.context is not None
    assert server.parent is not None
    assert server.context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert server.context.span_id == context.span_id
    assert server.context.trace_state.get("vendor") == "1"
    assert server.parent.span_id == 0x00F067AA0BA902B7
    assert server.parent.is_remote


def test_a_trace_that_starts_here_has_no_parent() -> None:
    assert exported(request(None, parse=1))[-1].parent is None


def test_attributes_name_the_decision_and_leave_out_what_is_empty() -> None:
    server = exported(request(parse=1))[-1]
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/interactions",
        "http.response.status_code": 200,
        "takt.decision_id": "d-1",
        "takt.rung": "small",
        "takt.budget_ms": 50.0,
    }
    assert server.resource.attributes["service.name"] == "takt"


def test_a_failed_request_is_an_error() -> None:
    good, bad = request(parse=1), request(parse=1, failed=True)
    statuses = [span.status.status_code for span in exported(good, bad) if span.kind is SpanKind.SERVER]
    assert statuses == [StatusCode.UNSET, StatusCode.ERROR]


class Gate(SpanExporter):
    """Exports nothing until it is opened, and then answers `result`."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        self.entered.set()
        assert self.opened.wait(30)
        return self.result

    def shutdown(self) -> None:
        self.closed.set()
        self.opened.set()


def test_a_full_queue_drops_whole_requests_and_counts_them() -> None:
    gate = Gate()
    export = SpanExport(gate, "1.0", Random(2), max_requests=3)
    answers = [export.export(request(parse=1, infer=1)) for _ in range(5)]
    assert answers == [True, True, True, False, False]
    assert (export.queued, export.dropped_total) == (3, 2)
    gate.opened.set()
    assert export.close()
    assert (export.queued, export.failed_total) == (0, 0)


def test_what_is_being_exported_still_takes_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "_DELAY_S", 0.01)
    gate = Gate()
    export = SpanExport(gate, "1.0", Random(2), max_requests=3)
    assert export.export(request(parse=1))
    assert gate.entered.wait(30)
    assert [export.export(request(parse=1)) for _ in range(3)] == [True, True, False]
    gate.opened.set()
    assert export.close()


class Witness(Random):
    """Remembers who asked for ids."""

    def __init__(self) -> None:
        super().__init__(2)
        self.asked_by: set[str] = set()

    def getrandbits(self, k: int) -> int:
        self.asked_by.add(threading.current_thread().name)
        return super().getrandbits(k)


def test_spans_are_built_in_the_exporters_thread() -> None:
    memory, witness = InMemorySpanExporter(), Witness()
    export = SpanExport(memory, "1.0", witness)
    export.export(request(parse=1))
    assert export.close()
    assert len(memory.get_finished_spans()) == 2
    assert witness.asked_by == {"takt-spans"}


class Broken(Gate):
    """Raises once."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.entered.is_set():
            self.entered.set()
            raise OSError("gone")
        return SpanExportResult.SUCCESS


def test_an_exporter_that_raises_costs_its_batch_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "_DELAY_S", 0.01)
    broken = Broken()
    export = SpanExport(broken, "1.0", Random(2))
    export.export(request(parse=1))
    assert broken.entered.wait(30)
    export.export(request(parse=1))
    assert export.close()
    assert (export.queued, export.failed_total) == (0, 1)
    assert caplog.messages == ["spans_export_failed"]


def test_what_the_endpoint_refuses_is_counted_in_requests() -> None:
    gate = Gate(SpanExportResult.FAILURE)
    gate.opened.set()
    export = SpanExport(gate, "1.0", Random(2))
    for _ in range(3):
        export.export(request(parse=1, infer=1))
    assert export.close()
    assert export.failed_total == 3


def test_closing_does_not_wait_for_an_endpoint_that_hangs() -> None:
    gate = Gate()
    export = SpanExport(gate, "1.0", Random(2))
    export.export(request(parse=1))
    assert not export.close(timeout_s=0.05)
    assert gate.closed.is_set()


def test_a_missing_exporter_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ExporterMissingError, match=r"otlp_endpoint = \"http://collector:4318\".*takt\[otlp\]"):
        open_export("http://collector:4318", "1.0", Random(1))
