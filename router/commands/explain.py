"""`takt explain DECISION_ID`: how a decision came about, from the log, beside a running server or without one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from router.commands.correction import open_log
from router.commands.errors import CheckFailed
from router.commands.location import find_config
from router.commands.terminal import bars, facts, say, shares
from router.config import load_config

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from router.domain.decision import RunFacts
    from router.log import DecisionRecord

# A record may hold words that are newer than this table; they are shown as they are.
_RUNGS = {
    "guard": "a guard",
    "large": "the large model",
    "small": "the small model",
    "cache": "the cache",
    "rules": "a fallback rule",
    "default": "the default route",
}
_REASONS = {
    "guard": "a guard matched; guards bind and come before every model",
    "model": "the model was sure enough",
    "cache": "the best model had answered the same text before, and was sure enough",
    "rule": "no model answered, and this rule was the first that matched",
    "default": "no model answered and no rule matched",
    "unsure": "the model was not sure enough of any route, so `unsure` of routes.toml took it",
    "policy": "the policy chose it",
    "experiment": "an experiment chose it",
}
_VERDICTS = {
    "admit": "every rung was open to it",
    "inline": "the executor was not: its line was long, and more critical requests came first",
    "floor": "no model was: the event loop was too busy",
    "reject": "it was to be turned away",
}
_SKIPS = {
    "budget": "would not have answered within the budget, with nobody ahead of it either",
    "overload": "would have fitted the budget on an idle server, but for the requests ahead of it",
    "breaker": "was out of service after failing or being slow (its circuit breaker was open)",
    "error": "failed, or gave no usable answer",
    "cold": "not loaded yet",
}


def run(args: Namespace) -> int:
    """Find the record and tell it. Raises: CheckFailed: there is none."""
    config = load_config(find_config(args.config, or_example=True), os.environ)
    settings = config.settings.log
    record = open_log(config).find(args.decision_id)
    if record is None:
        raise CheckFailed(
            f"{args.decision_id}: not in {config.path(settings.path)}; it may be of another project (-c), "
            f"or older than log.retention_days = {settings.retention_days:g}"
        )
    if args.json:
        say(msgspec.json.encode(record).decode())
        return 0
    say(f"Decision {record.decision_id}")
    facts(_facts(record))
    bars(record.stages_ms)
    return 0


def _facts(record: DecisionRecord) -> Iterator[tuple[str, str]]:
    at = datetime.fromtimestamp(record.at_ns / 1e9, UTC).astimezone()
    yield "made", f"{at.isoformat(sep=' ', timespec='milliseconds')}, plan {record.plan_version or 'without models'}"
    yield "text", "not kept (log.text)" if record.text is None else record.text
    if record.columns:
        yield "beside it", ", ".join(f"{name} {value}" for name, value in record.columns)
    yield "from", ", ".join(_senders(record))
    yield "answer", f"{record.route} -> {record.target_kind} {record.target_name}"
    sure = "" if record.confidence is None else f", confidence {record.confidence:.2f}"
    yield "decided by", f"{_RUNGS.get(record.rung, record.rung)}{sure}"
    yield "because", _REASONS.get(record.reason, record.reason)
    if record.task_id is not None:
        yield "task", f"{record.task_id}: GET /v1/tasks/{record.task_id}/explain tells where it is and why"
    if record.match is not None:
        yield "matched", f"{record.match.name}: {record.match.why}"
    yield "pressure", _pressure(record)
    if (ran := record.run) is not None:
        yield f"run of {ran.rung}", _run(ran)
    is_withheld = record.verdict == "floor" and not record.dark  # from each rung alike
    for rung, why in record.skipped:
        said = "was withheld: see pressure" if is_withheld and why == "overload" else _SKIPS.get(why, why)
        yield f"not {rung}", f"{said} [{why}]"
    if others := shares(record.alternatives):
        yield "also seen", others
    late = ", too late" if record.late else ""
    yield "time", f"{record.elapsed_ms:.3f} of {record.total_ms:g} ms{late}, until it was handed to the log"


def _pressure(record: DecisionRecord) -> str:
    dark = ", but overload.mode is dark: nothing was enforced" if record.dark else ""
    meaning = _VERDICTS.get(record.verdict, record.verdict)
    return f"level {record.level} of 0 (most critical) to 511: {meaning}{dark} [{record.verdict}]"


def _run(ran: RunFacts) -> str:
    began = f"queued at {ran.queued_ms:.2f} ms, expected to wait {ran.wait_ms:.2f} ms"
    if ran.start_ms is None:
        return f"{began}; did not start by {ran.latest_start_ms:.2f} ms, its latest start"
    others = f" with {ran.texts - 1} others" if ran.texts > 1 else ""
    took = "had not ended when the answer was due" if ran.end_ms is None else f"took {ran.end_ms - ran.start_ms:.2f} ms"
    return (
        f"{began}; started at {ran.start_ms:.2f} ms{others} (latest {ran.latest_start_ms:.2f}), {took};"
        f" expected at most {ran.predicted_ms:.2f}"
    )


def _senders(record: DecisionRecord) -> Iterator[str]:
    yield f"channel {record.channel}"
    if record.customer_id is not None:
        yield f"customer {record.customer_id}"
    if record.session_id is not None:
        yield f"session {record.session_id}"
    yield record.criticality
