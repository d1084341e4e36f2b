"""Which requests are worth spans, and what is handed over for them. Pure, but for the one door to `otel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from router.telemetry.trace import TraceContext

if TYPE_CHECKING:
    from random import Random

    from router.telemetry.otel import SpanExport

# Building and encoding a trace costs CPU that the event loop needs most when many requests are late or
# degraded, so their number is bounded too.
MOST_PER_S = 50
_SECOND_NS = 1_000_000_000


class RequestSpan(Struct, frozen=True, kw_only=True):
    """One answered request: all that its spans are built from. Empty fields are left out.

    `stages_ns` is in the order of `budgets.ledger.STAGES`; they follow each other from `at_ns` (UTC) on.
    """

    trace: TraceContext
    at_ns: int
    stages_ns: list[int]
    method: str
    http_route: str
    status: int
    failed: bool = False
    decision_id: str = ""
    point: str = ""
    route: str = ""
    rung: str = ""
    degraded: str = ""
    reason: str = ""
    budget_ms: float = 0.0


class SpanKeeper:
    """Keeps late, degraded and failed requests, and a share of the others; asked after the answer.

    At most `MOST_PER_S` a second on average, with bursts of as many; `limited_total` counts what is over.
    """

    __slots__ = ("_room", "_seen_ns", "keep_share", "limited_total", "rng")

    def __init__(self, keep_share: float, rng: Random) -> None:
        self.keep_share = keep_share
        self.rng = rng
        self.limited_total = 0
        self._room = float(MOST_PER_S)
        self._seen_ns: int | None = None

    def keep(self, now_ns: int, *, late: bool, degraded: bool, failed: bool) -> bool:
        """Whether spans are built for a request that was answered at `now_ns`."""
        if not (late or degraded or failed or self.rng.random() < self.keep_share):
            return False
        since_ns = 0 if self._seen_ns is None else now_ns - self._seen_ns
        self._seen_ns = now_ns
        self._room = min(self._room + since_ns * MOST_PER_S / _SECOND_NS, MOST_PER_S)
        if self._room < 1:
            self.limited_total += 1
            return False
        self._room -= 1
        return True


def open_export(endpoint: str, version: str, rng: Random) -> SpanExport | None:
    """Export to an OTLP endpoint; None when it is empty, and then opentelemetry is not even imported.

    Raises: ExporterMissingError: an endpoint, but the extra `otlp` is not installed.
    """
    if not endpoint:
        return None
    from router.telemetry.otel import open_otlp  # noqa: PLC0415 - 100 ms and 20 MB that most servers do not need

    return open_otlp(endpoint, version, rng)
