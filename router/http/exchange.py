"""One exchange with a client: what arrived, what the pipeline was asked, what it decided, and the answer's headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from multidict import istr

from budgets.deadline import NS_PER_MS
from budgets.ledger import STAGES

if TYPE_CHECKING:
    from budgets.deadline import Budget
    from router.domain.decision import Answer, Decision
    from router.http.callers import Caller
    from router.policy.point import Request
    from router.telemetry.trace import TraceContext

CONTENT_TYPE = istr("Content-Type")
TRACEPARENT, TRACESTATE = istr("traceparent"), istr("tracestate")
SERVER_TIMING, RUNG = istr("Server-Timing"), istr("X-Route-Rung")
DEGRADED, REMAINING = istr("X-Route-Degraded"), istr("X-Budget-Remaining-Ms")


class Received(NamedTuple):
    """A request whose bytes have arrived: when, from whom, in which format, and in which trace."""

    arrived_ns: int
    stalled_ns: int
    handled_ns: int
    caller: Caller
    body: bytes
    media_type: str
    answer_type: str
    trace: TraceContext | None


class Asked(NamedTuple):
    """What the pipeline is asked, on whose budget."""

    request: Request
    budget: Budget
    trace: TraceContext | None


class Decided(NamedTuple):
    """A decision and its books, closed; the answer can be sent more than once."""

    decision: Decision
    budget: Budget
    answer: Answer


def respond(received: Received, decided: Decided, body: bytes) -> web.Response:
    """A 200: the encoded answer, with what an operator wants to see without reading it."""
    decision, budget = decided.decision, decided.budget
    headers = {
        CONTENT_TYPE: received.answer_type,
        RUNG: decision.rung,
        DEGRADED: decision.degraded,
        REMAINING: f"{(budget.total_ns - budget.ledger.elapsed_ns) / NS_PER_MS:.3f}",
        SERVER_TIMING: _server_timing(budget),
    }
    if received.trace is not None:
        headers[TRACEPARENT] = received.trace.traceparent
        if received.trace.tracestate:
            headers[TRACESTATE] = received.trace.tracestate
    return web.Response(body=body, headers=headers)


def _server_timing(budget: Budget) -> str:
    """https://www.w3.org/TR/server-timing/: the stages that took time, then their sum and the budget."""
    ledger = budget.ledger
    parts = [f"{name};dur={ns / NS_PER_MS:.3f}" for name, ns in zip(STAGES, ledger.stages_ns, strict=True) if ns]
    parts.append(f"total;dur={ledger.elapsed_ns / NS_PER_MS:.3f}")
    parts.append(f"budget;dur={budget.total_ns / NS_PER_MS:g}")
    return ", ".join(parts)
