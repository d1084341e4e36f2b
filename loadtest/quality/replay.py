"""Asks again, one at a time and with plenty of budget, for what was answered by less than the best rung.

Only after the run, and only once the server answers in full again: the load was the reason to degrade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from loadtest.engine.inproc import TargetRefused
from loadtest.errors import Unreachable
from loadtest.quality.choose import choose
from loadtest.request import Requests
from loadtest.run import Repeat
from loadtest.sample import NEVER, RUNGS
from loadtest.view import view

if TYPE_CHECKING:
    from loadtest.answer import Answer
    from loadtest.run import Run

# A request's JSON object and its budget, ns. Raises: TargetRefused, Unreachable.
Ask = Callable[[bytes, int], Awaitable["Answer"]]
# Which of them is a server's best is what it answers undegraded with; its cache keeps the answers of no other.
_MODELS, _CACHE = ("large", "small"), "cache"
RECOVERY_S = 30.0
# With a few milliseconds an answer, enough for 5,000 of each rung.
REPLAY_S = 300.0
_ATTEMPTS = 3
_PAUSE_S = 0.25


async def replay(run: Run, ask: Ask) -> tuple[Repeat, ...]:
    """Repeat what `quality.replay` of the scenario asks for. Those that get no reference have `same` None.

    Takes RECOVERY_S and REPLAY_S at most, and an answer longer.
    """
    record = run.record
    spec, seed = record.scenario.quality, record.scenario.seed
    seen = view(run).on("all")
    rows = choose(seen, spec.replay, np.random.default_rng(seed))
    if not len(rows):
        return ()
    requests, loop = Requests(run), asyncio.get_running_loop()
    best = await best_rung(ask, requests.fields(int(rows[0])), spec.budget, seed)
    until_s = loop.time() + REPLAY_S
    repeats = []
    for row in rows.tolist():
        reference = None
        try:
            if best is not None and loop.time() < until_s:
                reference = await _reference(ask, requests.body(row), spec.budget, best)
        except Unreachable:
            best = None
        repeats.append(_compare(run, row, reference, best or ""))
    return tuple(sorted(repeats, key=attrgetter("row")))


async def best_rung(
    ask: Ask, fields: dict[str, Any], budget_ns: int, seed: int, within_s: float = RECOVERY_S
) -> str | None:
    """Wait until `fields`, with a word that makes it news to any cache, is answered in full.

    Returns: by which rung; None: it was not, `within_s`.
    """
    rng, loop = np.random.default_rng((seed, 1)), asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while True:
        try:
            news = {"text": f"{fields['text']} {rng.integers(1 << 32):08x}"} if "text" in fields else {}
            answer = await ask(msgspec.json.encode(fields | news), budget_ns)
            if answer.degraded == "none" and answer.rung in _MODELS:
                return answer.rung
        except (TargetRefused, Unreachable):
            pass
        if loop.time() >= until_s:
            return None
        await asyncio.sleep(_PAUSE_S)


async def _reference(ask: Ask, body: bytes, budget_ns: int, best: str) -> Answer | None:
    """The answer at its best. None: it was degraded again, or refused, each time."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        try:
            answer = await ask(body, budget_ns)
        except TargetRefused:
            continue
        if answer.degraded == "none" and answer.rung in {best, _CACHE}:
            return answer
    return None


def _compare(run: Run, row: int, reference: Answer | None, best: str) -> Repeat:
    """Args: best: the rung that the reference is of, from its cache or not."""
    sample = run.samples[row]
    number = int(sample["route"])
    route = "" if number == NEVER else run.record.routes[number]
    again = "" if reference is None else reference.route or reference.action
    return Repeat(
        row=row,
        rung=RUNGS[sample["rung"]],
        route=route,
        reference=again,
        reference_rung="" if reference is None else best,
        same=None if reference is None or not route else route == again,
    )
