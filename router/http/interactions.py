"""POST /v1/interactions and /v1/interactions:batch."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from multidict import istr

from budgets.admission import Refusal
from budgets.deadline import NS_PER_MS, grant_ns, open_budget
from budgets.ledger import Ledger, Stage
from router.domain.interaction import Criticality, Interaction, InteractionBatch
from router.errors import NotAdmitted, RequestRefused
from router.http import codec
from router.http.aftermath import finish, keep_span
from router.http.answer import build_answer
from router.http.body import read_body
from router.http.callers import Callers
from router.http.errors import KeyReused, Malformed, Problem, problem_of
from router.http.exchange import CONTENT_TYPE, TRACEPARENT, TRACESTATE, Asked, Decided, Received, respond
from router.http.idempotency import Entry, IdempotencyTable
from router.http.patience import stated_in_body_ms, stated_ms
from router.policy.point import Request
from router.telemetry.trace import join

if TYPE_CHECKING:
    from router.assembly import App
    from router.domain.decision import Answer, Decision
    from router.http.app import Connection

ACCEPT, AUTHORIZATION = istr("Accept"), istr("Authorization")
CRITICALITY, IDEMPOTENCY_KEY = istr("X-Criticality"), istr("Idempotency-Key")
_MAX_KEY_CHARS = 256
_PATH = "POST /v1/interactions"
# A batch is decided in slices, so that other connections get their turn of the event loop in between.
_SLICE = 16
# Nothing is wrong with a request that has waited no longer.
_SOON_NS = 2_000_000
_INTERACTION, _BATCH = codec.Decoder(Interaction), codec.Decoder(InteractionBatch)
_CRITICALITIES = {member.value: member for member in Criticality}


class Interactions:
    """The resource. Holds the answers that are kept for their Idempotency-Key."""

    def __init__(self, app: App) -> None:
        settings = app.config.settings.server
        self._settings = settings
        self._callers = Callers(app.config.settings.callers, settings.most_critical)
        self._kept: IdempotencyTable[Decided] = IdempotencyTable(
            settings.idempotency_entries, int(settings.idempotency_s * 1e9)
        )

    async def post(self, app: App, request: web.BaseRequest) -> web.Response:
        """One decision within the budget; repeated under its Idempotency-Key, the same one again."""
        self._screen(app, request)
        received = await self._receive(app, request, self._settings.max_body_bytes)
        interaction: Interaction = _INTERACTION.decode(received.media_type, received.body)
        headers = request.headers
        if (stated := headers.get(CRITICALITY)) is not None:
            interaction = msgspec.structs.replace(interaction, criticality=_criticality(stated))
        asked = _open(app, interaction, stated_ms(headers, interaction.budget_ms), received)
        key = headers.get(IDEMPOTENCY_KEY)
        if key is not None:
            decided = await self._decide_once(app, asked, received, key)
            return respond(received, decided, codec.encode(received.answer_type, decided.answer))
        decided = await _decide(app, asked)
        body = codec.encode(received.answer_type, decided.answer)
        asked.budget.ledger.mark(Stage.ENCODE, app.clock.now_ns())
        finish(app, asked, decided)
        return respond(received, decided, body)

    async def post_batch(self, app: App, request: web.BaseRequest) -> web.Response:
        """Up to 256 decisions; each has its own budget and its own answer or problem, in the order of the request."""
        received = await self._receive(app, request, self._settings.max_batch_bytes)
        batch: InteractionBatch = _BATCH.decode(received.media_type, received.body)
        patience_ms = stated_ms(request.headers, batch.budget_ms)
        results: list[Decision | Problem] = []
        opened = [_open_in_batch(app, each, patience_ms, received) for each in batch.interactions]
        for first in range(0, len(opened), _SLICE):
            part = opened[first : first + _SLICE]
            results += await asyncio.gather(*(_decide_in_batch(app, each) for each in part))
        answers = [_close_in_batch(app, asked, found) for asked, found in zip(opened, results, strict=True)]
        body = codec.encode(received.answer_type, {"decisions": answers})
        return web.Response(body=body, headers={CONTENT_TYPE: received.answer_type})

    def _screen(self, app: App, request: web.BaseRequest) -> None:
        """Turn away, before the body is read, whom the headers doom: a flood must cost little. Raises: NotAdmitted.

        What a flood looks like from here: bytes that were read long ago, as every request of one turn of the loop waits
        for those before it.
        """
        connection: Connection = request.protocol  # type: ignore[assignment] # router/http/app.py made it
        waited_ns = app.clock.now_ns() - connection.received_ns
        if waited_ns < _SOON_NS and not app.control.reject_pressure:
            return
        headers = request.headers
        stated = stated_ms(headers, None)
        left_ns = grant_ns(stated, app.point.budget) - waited_ns if stated else None
        claimed = headers.get(CRITICALITY)
        rank = None if claimed is None else self._callers.of(headers.get(AUTHORIZATION)).cap(_criticality(claimed)).rank
        app.pipeline.screen(rank, left_ns)

    async def _receive(self, app: App, request: web.BaseRequest, max_bytes: int) -> Received:
        handled_ns = app.clock.now_ns()
        # What had arrived waited for the event loop, and before that, if the loop was blocked, in the kernel.
        connection: Connection = request.protocol  # type: ignore[assignment] # router/http/app.py made it
        headers = request.headers
        caller = self._callers.of(headers.get(AUTHORIZATION))
        media_type = codec.media_type_of(headers.get(CONTENT_TYPE))
        traceparent = headers.get(TRACEPARENT)
        trace = None
        if traceparent is not None or app.spans is not None:
            trace = join(traceparent, ",".join(headers.getall(TRACESTATE, ())), app.rng)
        body = await read_body(request, max_bytes, self._settings.body_timeout_ms)
        accept = codec.answer_type(headers.get(ACCEPT), media_type)
        return Received(
            connection.received_ns, connection.stalled_ns, handled_ns, caller, body, media_type, accept, trace
        )

    async def _decide_once(self, app: App, asked: Asked, received: Received, key: str) -> Decided:
        """The decision of the first request with this key, which goes on even if its client leaves."""
        if not 0 < len(key) <= _MAX_KEY_CHARS:
            raise Malformed(f"Idempotency-Key: must have 1 to {_MAX_KEY_CHARS} characters")
        if (caller := received.caller.name) is not None:
            key = f"{caller}\n{key}"  # to each caller its own; no header has a line break in it
        fingerprint = hashlib.sha256(received.media_type.encode() + b"\n" + received.body).digest()
        entry = self._kept.find(key, received.handled_ns)
        if entry is None:
            # The task of the decision is kept for it, too, and longer: through a restart.
            asked.request.key, asked.request.digest = f"{_PATH}\n{key}", fingerprint
            entry = Entry(fingerprint, received.handled_ns, asyncio.ensure_future(_decide_and_finish(app, asked)))
            self._kept.begin(key, entry)
            entry.answer.add_done_callback(lambda answer: self._drop_if_failed(key, answer))
            return await asyncio.shield(entry.answer)  # the pipeline keeps to its budget
        if entry.fingerprint != fingerprint:
            raise KeyReused("Idempotency-Key: was used for another body; a new request needs a new key")
        try:
            async with asyncio.timeout(max(0, asked.budget.remaining_ns(app.clock.now_ns())) / 1e9):
                return await asyncio.shield(entry.answer)
        except TimeoutError:
            raise NotAdmitted(Refusal.EXPIRED) from None

    def _drop_if_failed(self, key: str, answer: asyncio.Future[Decided]) -> None:
        """A request that got no answer: a repetition is a new request."""
        if answer.cancelled() or answer.exception() is not None:
            self._kept.drop(key)


def _open(app: App, interaction: Interaction, patience_ms: list[float], received: Received) -> Asked:
    """The budget, running since the request arrived, and what the pipeline is asked, as critically as may be."""
    settings = app.point.budget
    ledger = Ledger(received.arrived_ns - received.stalled_ns)
    ledger.mark(Stage.LOOP, received.handled_ns)
    total_ns = grant_ns(patience_ms, settings)
    trace, caller = received.trace, received.caller
    granted = caller.cap(interaction.criticality)
    if granted is not interaction.criticality:
        interaction = msgspec.structs.replace(interaction, criticality=granted)
    trace_id = None if trace is None else trace.trace_id_hex
    request = Request(interaction, total_ns / NS_PER_MS, trace_id, caller=caller.name)
    budget = open_budget(total_ns, settings, ledger, received.stalled_ns)
    ledger.mark(Stage.PARSE, app.clock.now_ns())
    return Asked(request, budget, trace)


async def _decide(app: App, asked: Asked) -> Decided:
    """Ask the pipeline and build the answer. Raises: NotAdmitted, and keeps a span of it."""
    try:
        decision = await app.pipeline.decide(app.point, asked.request, asked.budget)
    except NotAdmitted as refused:
        keep_span(app, asked, None, refused.status)
        raise
    return Decided(decision, asked.budget, build_answer(app, asked.request.interaction, decision, asked.budget))


async def _decide_and_finish(app: App, asked: Asked) -> Decided:
    """For an answer that is encoded for each who asks for it."""
    decided = await _decide(app, asked)
    finish(app, asked, decided)
    return decided


def _open_in_batch(app: App, interaction: Interaction, patience_ms: list[float], received: Received) -> Asked | Problem:
    """One of a batch: its problem is its own."""
    try:
        return _open(app, interaction, [*patience_ms, *stated_in_body_ms(interaction.budget_ms)], received)
    except RequestRefused as refused:
        return problem_of(refused)


async def _decide_in_batch(app: App, asked: Asked | Problem) -> Decision | Problem:
    """Its turn has come; until now it waited."""
    if isinstance(asked, Problem):
        return asked
    asked.budget.ledger.mark(Stage.QUEUE, app.clock.now_ns())
    try:
        return await app.pipeline.decide(app.point, asked.request, asked.budget)
    except RequestRefused as refused:
        return problem_of(refused)


def _close_in_batch(app: App, asked: Asked | Problem, found: Decision | Problem) -> Answer | Problem:
    """An answer is sent with the last of its batch, and its books say so."""
    if isinstance(asked, Problem):
        return asked
    if isinstance(found, Problem):
        return found
    asked.budget.ledger.mark(Stage.QUEUE, app.clock.now_ns())
    answer = build_answer(app, asked.request.interaction, found, asked.budget)
    finish(app, asked, Decided(found, asked.budget, answer))
    return answer


def _criticality(stated: str) -> Criticality:
    found = _CRITICALITIES.get(stated.strip().lower())
    if found is None:
        raise Malformed(f"X-Criticality: {stated[:40]!r} is none of {', '.join(_CRITICALITIES)}")
    return found
