"""`takt route TEXT`: one decision as a server would make it, and logged as a server would, so it can be explained."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from budgets.deadline import NS_PER_MS, grant_ns, open_budget
from budgets.ledger import Ledger, Stage
from router.assembly import build_app
from router.commands.errors import CommandError
from router.commands.location import config_flag, find_config, require_models
from router.commands.terminal import bars, facts, note, say, shares
from router.config import load_config
from router.domain.interaction import Interaction
from router.http.answer import build_answer
from router.log import LogRefused
from router.policy.point import Request

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from router.assembly import App
    from router.config import Config
    from router.domain.decision import Answer


def run(args: Namespace) -> int:
    """Decide and print."""
    interaction = _interaction(args.text, args.budget_ms)
    path = find_config(args.config, or_example=True)
    config = load_config(path, os.environ)
    require_models(config, path)
    answer = asyncio.run(_answer(config, interaction))
    if args.json:
        say(msgspec.json.encode(answer).decode())
    else:
        _show(answer, path)
    return 0


def _interaction(text: str, budget_ms: float | None) -> Interaction:
    """What a client would send. Raises: CommandError: the text is none that the server would take."""
    try:
        text.encode()
        return msgspec.convert({"text": text, "budget_ms": budget_ms}, Interaction)
    except UnicodeEncodeError:
        raise CommandError("TEXT: is not valid UTF-8") from None
    except msgspec.ValidationError as error:
        raise CommandError(f"TEXT: {str(error).partition(' - at ')[0].lower()}") from None


async def _answer(config: Config, interaction: Interaction) -> Answer:
    app = await _started(config)
    try:
        clock, settings = app.clock, app.point.budget
        total_ns = grant_ns([] if interaction.budget_ms is None else [interaction.budget_ms], settings)
        budget = open_budget(total_ns, settings, Ledger(clock.now_ns()))
        asked = Request(interaction, total_ns / NS_PER_MS)
        budget.ledger.mark(Stage.PARSE, clock.now_ns())
        decision = await app.pipeline.decide(app.point, asked, budget)
        answer = build_answer(app, interaction, decision, budget)
    finally:
        await app.close()
    stats = app.log.stats()
    if stats.dropped_total:
        _not_logged(stats.last_error)
    return answer


async def _started(config: Config) -> App:
    """An app with its log open; where the log can't be used, the decision is made all the same."""
    app = build_app(config, has_desk=False)
    try:
        await app.start()
    except BaseException as error:
        await app.close()
        if not isinstance(error, LogRefused):
            raise
        _not_logged(str(error))
    else:
        return app
    app = build_app(config, log_to_memory=True, has_desk=False)
    try:
        await app.start()
    except BaseException:
        await app.close()
        raise
    return app


def _not_logged(why: str) -> None:
    note(f"not logged, so `takt explain` will not know this decision: {why}")


def _show(answer: Answer, path: Path) -> None:
    late = ", too late" if answer.budget.late else ""
    say(f"{answer.route} -> {answer.target.kind} {answer.target.name}")
    facts(
        [
            ("rung", answer.rung),
            ("reason", answer.reason),
            ("degraded", answer.degraded),
            ("confidence", f"{answer.confidence:.2f}"),
            ("alternatives", shares((other.route, other.confidence) for other in answer.alternatives) or "none"),
            ("time", f"{answer.budget.elapsed_ms:.3f} of {answer.budget.total_ms:g} ms{late}"),
        ]
    )
    bars(answer.budget.stages_ms)
    say(f"Why: takt explain {answer.decision_id}{config_flag(path)}")
