"""POST /v1/interactions and /v1/interactions:batch."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from aiohttp import web
from multidict import istr

from budgets.deadline import NS_PER_MS, Budget, grant_ns, open_budget
from budgets.ledger import STAGES, Ledger, Stage
from router.domain.decision import Answer
from router.domain.interaction import Criticality, Interaction, InteractionBatch
from router.errors import RequestRefused
from router.http import codec
from router.http.answer import build_answer
from router.http.body import read_body
from router.http.errors import KeyReused, Malformed, Problem, Unavailable
from router.http.idempotency import Entry, IdempotencyTable
from router.http.patience import stated_in_body_ms, stated_ms
from router.policy.point import Request
from router.telemetry.span import RequestSpan
from router.telemetry.trace import TraceContext, join

if TYPE_CHECKING:
    from router.assembly import App
    from router.domain.decision import Decision

_LOGGER = logging.getLogger("takt.decision")
CONTENT_TYPE, ACCEPT = istr("Content-Type"), istr("Accept")
IDEMPOTENCY_KEY, CRITICALITY = istr("Idempotency-Key"), istr("X-Criticality")
TRACEPARENT, TRACESTATE = istr("traceparent"), istr("tracestate")
SERVER_TIMING, RUNG = istr("Server-Timing"), istr("X-Route-Rung")
DEGRADED, REMAINING = istr("X-Route-Degraded"), istr("X-Budget-Remaining-Ms")
_MAX_KEY_CHARS = 256
# A batch is decided in slices, so that other connections get their turn of the event loop in between.
_SLICE = 16
_INTERACTION, _BATCH = codec.Decoder(Interaction), codec.Decoder(InteractionBatch)
_CRITICALITIES = {member.value: member for member in Criticality}


class Received(NamedTuple):
    """A request whose bytes have arrived: when, in which format, and in which trace."""

    start_ns: int
    handled_ns: int
    body: bytes
    media_type: str
    answer_type: str
    trace: TraceContext | None


class Interactions:
    """The resource. Holds the answers that are kept for their Idempotency-Key."""

    def __init__(self, app: App) -> None:
        settings = app.config.settings.server
        self._settings = settings
        self._kept: IdempotencyTable[web.Response] = IdempotencyTable(
            settings.idempotency_entries, int(settings.idempotency_s * 1e9)
        )

    async def post(self, app: App, request: web.BaseRequest) -> web.Response:
        """One decision within the budget; repeated under its Idempotency-Key, the same one again."""
        received = await self._receive(app, request, self._settings.max_body_bytes)
        key = request.headers.get(IDEMPOTENCY_KEY)
        if key is None:
            return await self._decide(app, request, received)
        return await self._decide_once(app, request, received, key)

    async def post_batch(self, app: App, request: web.BaseRequest) -> web.Response:
        """Up to 256 decisions; each has its own budget and its own answer or problem, in the order of the request."""
        received = await self._receive(app, request, self._settings.max_batch_bytes)
        batch: InteractionBatch = _BATCH.decode(received.media_type, received.body)
        patience_ms = stated_ms(request.headers, batch.budget_ms)
        results: list[Answer | Problem] = []
        for first in range(0, len(batch.interactions), _SLICE):
            part = batch.interactions[first : first + _SLICE]
            results += await asyncio.gather(*(_decide_one(app, each, patience_ms, received) for each in part))
        body = codec.encode(received.answer_type, {"decisions": results})
        return web.Response(body=body, headers={CONTENT_TYPE: received.answer_type})

    async def _receive(self, app: App, request: web.BaseRequest, max_bytes: int) -> Received:
        handled_ns = app.clock.now_ns()
        # What had arrived waited for the event loop, and before that, if the loop was blocked, in the kernel.
        arrived_ns = request.protocol.received_ns  # type: ignore[attr-defined]
        start_ns = min(arrived_ns - app.lag.estimate.late_ns(arrived_ns), handled_ns)
        headers = request.headers
        media_type = codec.media_type_of(headers.get(CONTENT_TYPE))
        traceparent = headers.get(TRACEPARENT)
        trace = None
        if traceparent is not None or app.spans is not None:
            trace = join(traceparent, ",".join(headers.getall(TRACESTATE, ())), app.rng)
        body = await read_body(request, max_bytes, self._settings.body_timeout_ms)
        accept = codec.answer_type(headers.get(ACCEPT), media_type)
        return Received(start_ns, handled_ns, body, media_type, accept, trace)

    async def _decide_once(self, app: App, request: web.BaseRequest, received: Received, key: str) -> web.Response:
        if not 0 < len(key) <= _MAX_KEY_CHARS:
            raise Malformed(f"Idempotency-Key: must have 1 to {_MAX_KEY_CHARS} characters")
        fingerprint = hashlib.sha256(received.media_type.encode() + b"\n" + received.body).digest()
        entry = self._kept.find(key, received.handled_ns)
        if entry is not None:
            if entry.fingerprint != fingerprint:
                raise KeyReused("Idempotency-Key: was used for another body; a new request needs a new key")
            return _again(await asyncio.shield(entry.answer))
        answer: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()
        self._kept.begin(key, Entry(fingerprint, received.handled_ns, answer))
        try:
            response = await self._decide(app, request, received)
        except BaseException as error:
            self._kept.drop(key)
            refused = isinstance(error, RequestRefused)
            answer.set_exception(error if refused else Unavailable("the request that had this key first failed"))
            answer.exception()  # mark it as seen: nobody else may be waiting
            raise
        answer.set_result(response)
        return _again(response)

    async def _decide(self, app: App, request: web.BaseRequest, received: Received) -> web.Response:
        interaction: Interaction = _INTERACTION.decode(received.media_type, received.body)
        headers = request.headers
        if (stated := headers.get(CRITICALITY)) is not None:
            interaction = msgspec.structs.replace(interaction, criticality=_criticality(stated))
        budget, asked = _open(app, interaction, stated_ms(headers, interaction.budget_ms), received)
        decision = await app.pipeline.decide(app.point, asked, budget)
        body = codec.encode(received.answer_type, build_answer(app, interaction, decision, budget))
        ledger = budget.ledger
        ledger.mark(Stage.ENCODE, app.clock.now_ns())
        app.pipeline.finish(app.point, decision, budget)
        late = not budget.is_met()
        if app.spans is not None and received.trace is not None:
            _keep_span(app, received.trace, decision, budget)
        if late:
            _LOGGER.warning("late", extra=_facts(decision, budget))
        response_headers = {
            CONTENT_TYPE: received.answer_type,
            RUNG: decision.rung,
            DEGRADED: decision.degraded,
            REMAINING: f"{(budget.total_ns - ledger.elapsed_ns) / NS_PER_MS:.3f}",
            SERVER_TIMING: _server_timing(ledger, budget),
        }
        if received.trace is not None:
            response_headers[TRACEPARENT] = received.trace.traceparent
            if received.trace.tracestate:
                response_headers[TRACESTATE] = received.trace.tracestate
        return web.Response(body=body, headers=response_headers)


async def _decide_one(
    app: App, interaction: Interaction, patience_ms: list[float], received: Received
) -> Answer | Problem:
    """One of a batch: its problem is its own."""
    try:
        own_ms = stated_in_body_ms(interaction.budget_ms)
        budget, asked = _open(app, interaction, [*patience_ms, *own_ms], received)
        decision = await app.pipeline.decide(app.point, asked, budget)
    except RequestRefused as refused:
        return Problem(title="refused", status=refused.status, code=refused.code, detail=refused.detail)
    answer = build_answer(app, interaction, decision, budget)
    app.pipeline.finish(app.point, decision, budget)
    return answer


def _open(app: App, interaction: Interaction, patience_ms: list[float], received: Received) -> tuple[Budget, Request]:
    """The budget, running since the request arrived, and what the pipeline is asked."""
    settings = app.point.budget
    ledger = Ledger(received.start_ns)
    ledger.mark(Stage.LOOP, received.handled_ns)
    total_ns = grant_ns(patience_ms, settings)
    budget = open_budget(received.start_ns, total_ns, settings, ledger)
    trace_id = None if received.trace is None else received.trace.trace_id_hex
    asked = Request(interaction, total_ns / NS_PER_MS, trace_id)
    ledger.mark(Stage.PARSE, app.clock.now_ns())
    return budget, asked


def _server_timing(ledger: Ledger, budget: Budget) -> str:
    """https://www.w3.org/TR/server-timing/: the stages that took time, then their sum and the budget."""
    parts = [f"{name};dur={ns / NS_PER_MS:.3f}" for name, ns in zip(STAGES, ledger.stages_ns, strict=True) if ns]
    parts.append(f"total;dur={ledger.elapsed_ns / NS_PER_MS:.3f}")
    parts.append(f"budget;dur={budget.total_ns / NS_PER_MS:g}")
    return ", ".join(parts)


def _criticality(stated: str) -> Criticality:
    found = _CRITICALITIES.get(stated.strip().lower())
    if found is None:
        raise Malformed(f"X-Criticality: {stated[:40]!r} is none of {', '.join(_CRITICALITIES)}")
    return found


def _again(response: web.Response) -> web.Response:
    """A copy to send: a response object can be sent once."""
    return web.Response(body=response.body, status=response.status, headers=response.headers)


def _facts(decision: Decision, budget: Budget) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "rung": decision.rung,
        "degraded": decision.degraded,
        "elapsed_ms": budget.ledger.elapsed_ns / NS_PER_MS,
        "budget_ms": budget.total_ns / NS_PER_MS,
    }


def _keep_span(app: App, trace: TraceContext, decision: Decision, budget: Budget) -> None:
    """Hand over a request that is worth spans; they are built after the answer, in another thread."""
    ledger, late, is_degraded = budget.ledger, not budget.is_met(), decision.degraded != "none"
    if app.spans is None or not app.keeper.keep(app.clock.now_ns(), late=late, degraded=is_degraded, failed=False):
        return
    app.spans.export(
        RequestSpan(
            trace=trace,
            at_ns=app.clock.wall_ns() - ledger.elapsed_ns,
            stages_ns=list(ledger.stages_ns),
            method="POST",
            http_route="/v1/interactions",
            status=200,
            decision_id=decision.decision_id,
            point=app.point.name,
            route=decision.route,
            rung=decision.rung,
            degraded=decision.degraded,
            reason=decision.reason.value,
            budget_ms=budget.total_ns / NS_PER_MS,
        )
    )
