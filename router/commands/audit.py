"""`takt audit`: where latency budgets go, from the log, beside a running server or without one."""

from __future__ import annotations

import os
import shutil
import textwrap
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from budgets.clock import SystemClock
from router.audit import Tally, audit_of
from router.commands.correction import open_log
from router.commands.errors import CheckFailed
from router.commands.location import config_flag, find_config, shown
from router.commands.terminal import bar, facts, note, say, table
from router.config import load_config
from router.log import since

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from router.audit import Audit
    from router.audit.finding import GroupAudit, StageAudit, VerdictAudit
    from router.config import Config
    from router.log import DecisionRecord

_TELL_EVERY = 200_000
_BAR_CHARS = 20
_WIDEST = 110
_LEAST_SHOWN_SHARE = 0.0005
"""A stage with less of all time, and of that of late and degraded requests, gets no row."""

# A record may hold words that are newer than this table; they are shown as they are.
_VERDICTS = {"inline": "kept from the executor", "floor": "kept from every model", "reject": "refused"}


def run(args: Namespace) -> int:
    """Read, sum up, tell. Raises: CheckFailed: fewer were in budget than `--slo` asks for, or nobody knows."""
    path = find_config(args.config, or_example=True)
    config = load_config(path, os.environ)
    log = open_log(config)
    seen: set[str] = set()
    tally = Tally()
    for record in _chosen(log.newest(), args, seen):
        tally.add(record)
        if tally.n % _TELL_EVERY == 0:
            note(f"{tally.n:,} decisions read ...")
    audit = audit_of(tally)
    if args.json:
        say(msgspec.json.encode(audit).decode())
    elif audit.decisions:
        _show(audit, config)
    else:
        say(*_nothing(args, path, shown(config.path(config.settings.log.path)), seen))
    _check(audit, args.slo)
    return 0


def _chosen(newest: Iterator[DecisionRecord], args: Namespace, points: set[str]) -> Iterator[DecisionRecord]:
    """What is asked for; `points` collects all that are met on the way."""
    records = newest if args.since is None else since(newest, SystemClock().wall_ns() - args.since)
    found = (each for each in _noted(records, points) if args.point in (None, each.point))
    return islice(found, args.last if args.since is None else None)


def _noted(records: Iterator[DecisionRecord], points: set[str]) -> Iterator[DecisionRecord]:
    for record in records:
        points.add(record.point)
        yield record


def _nothing(args: Namespace, path: Path, log: str, points: set[str]) -> Iterator[str]:
    if args.point is not None and points:
        yield f"{log}: no decision of point {args.point!r} among those read; there are: {', '.join(sorted(points))}"
        return
    yield f"{log}: no decisions {'yet' if args.since is None else 'in that time'}"
    yield f"Serve with `takt serve{config_flag(path)}`, then send requests, or `takt loadtest run steady`."


def _check(audit: Audit, slo: float | None) -> None:
    if slo is None:
        return
    if audit.in_budget_share is None:
        raise CheckFailed(f"--slo {slo:g} cannot be checked: no decisions")
    if audit.in_budget_share < slo:
        raise CheckFailed(f"{audit.in_budget_share:.3%} of {audit.decisions:,} in budget, --slo asks for {slo:.3%}")


def _show(audit: Audit, config: Config) -> None:
    settings = config.settings.log
    total, bottleneck = audit.total, audit.bottleneck
    assert total is not None and bottleneck is not None and audit.load is not None  # noqa: S101, PT018 - not of none
    decisions = "1 decision" if audit.decisions == 1 else f"{audit.decisions:,} decisions"
    say(f"{shown(config.path(settings.path))}: {decisions}, {_span(audit)}")
    facts(_headline(audit, total))
    say("", "Bottleneck")
    _say_wrapped(bottleneck.sentence)
    if audit.what_ifs and bottleneck.cause is not None:
        say("", "What would have helped")
        for what in audit.what_ifs:
            assumes = f" Assumes: {what.assumes}." if what.helped_total else ""
            _say_wrapped(f"{what.change}: {what.sentence}.{assumes}", "- ")
    _show_stages(audit)
    _show_groups("Answered by", "rung", audit.rungs)
    if len(audit.criticalities) > 1:
        _show_groups("By criticality", "criticality", audit.criticalities)
    if len(audit.points) > 1:
        _show_groups("By point", "point", audit.points)
    _show_runs(audit)
    say("")
    disk = ", and with log.durability = commit the disk" if settings.durability == "commit" else ""
    _say_wrapped(
        "Not in these figures: refused requests (takt_refused_total), and what follows a record: encoding"
        f"{disk} (takt_stage_seconds)."
    )


def _say_wrapped(text: str, bullet: str = "") -> None:
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns)
    first = f"  {bullet}"
    say(*textwrap.wrap(text, width, initial_indent=first, subsequent_indent=" " * len(first)))


def _span(audit: Audit) -> str:
    assert audit.first_at_ns is not None and audit.last_at_ns is not None  # noqa: S101, PT018
    return f"{_time(audit.first_at_ns)} to {_time(audit.last_at_ns)}"


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def _headline(audit: Audit, total: GroupAudit) -> Iterator[tuple[str, str]]:
    load = audit.load
    assert load is not None  # noqa: S101
    late = round((1 - total.in_budget_share) * total.total)
    yield "in budget", f"{total.in_budget_share:.3%} ({late:,} late)"
    words = [f"{each.name} {each.share:.1%}" for each in audit.degraded if each.name != "none"]
    yield "degraded", f"{total.degraded_share:.1%}{': ' if words else ''}{', '.join(words)}"
    used = f"used {total.used_p50:.0%} (p50), {total.used_p99:.0%} (p99)"
    yield "time", f"p50 {total.p50_ms:.3g} ms, p99 {total.p99_ms:.3g} ms"
    yield "budget", f"p50 {total.budget_p50_ms:.3g} ms; {used}"
    yield "executor", f"ran {load.executor_share:.0%} of the time{_in_trouble(audit, load.executor_share_in_trouble)}"
    loop = f"worked {load.loop_share:.0%} of the time, or more"
    yield "event loop", f"{loop}{_in_trouble(audit, load.loop_share_in_trouble)}"
    if load.worst_troubled:
        what = f"{load.worst_troubled:,} of {load.worst_total:,} late or degraded within {load.window_s:g} s"
        yield "worst moment", f"{_time(load.worst_at_ns)}: {what}"
    if audit.verdicts:
        yield "overload", "; ".join(_verdict(each) for each in audit.verdicts)


def _verdict(found: VerdictAudit) -> str:
    where = _VERDICTS.get(found.verdict, found.verdict)
    return f"{where} {found.total:,}{' in the dark: not enforced' if found.dark else ''}"


def _in_trouble(audit: Audit, share: float) -> str:
    return f", {share:.0%} when requests were late or degraded" if audit.causes else ""


def _show_stages(audit: Audit) -> None:
    """Columns that would be all zeros are left out."""
    has_late = any(stage.share_in_late for stage in audit.stages)
    has_degraded = any(stage.share_in_degraded for stage in audit.stages)
    shown_stages = [each for each in audit.stages if _is_shown(each)]
    columns = {
        "stage": [stage.name for stage in shown_stages],
        "of all": [f"{stage.share:.1%}" for stage in shown_stages],
        "p50 ms": [f"{stage.p50_ms:.3f}" for stage in shown_stages],
        "p99 ms": [f"{stage.p99_ms:.3f}" for stage in shown_stages],
    }
    if has_degraded:
        columns["of degraded"] = [f"{stage.share_in_degraded:.1%}" for stage in shown_stages]
    if has_late:
        columns["of late"] = [f"{stage.share_in_late:.1%}" for stage in shown_stages]
        columns["late but for it"] = [f"{stage.late_without_total:,}" for stage in shown_stages]
    columns[""] = [bar(stage.share, _BAR_CHARS) for stage in shown_stages]
    say("", "Where the time went")
    table(tuple(columns), list(zip(*columns.values(), strict=True)))


def _is_shown(stage: StageAudit) -> bool:
    return max(stage.share, stage.share_in_late, stage.share_in_degraded) >= _LEAST_SHOWN_SHARE


def _show_groups(title: str, column: str, groups: tuple[GroupAudit, ...]) -> None:
    say("", title)
    rows = [
        (
            group.name,
            f"{group.total:,}",
            f"{group.share:.1%}",
            f"{group.in_budget_share:.2%}",
            f"{group.degraded_share:.1%}",
            f"{group.p50_ms:.3f}",
            f"{group.p99_ms:.3f}",
            f"{group.used_p50:.0%}",
            f"{group.used_p99:.0%}",
        )
        for group in groups
    ]
    table(
        (column, "requests", "share", "in budget", "degraded", "p50 ms", "p99 ms", "used p50", "used p99"),
        rows,
    )


def _show_runs(audit: Audit) -> None:
    if not audit.predictions:
        return
    say("", "Runs on the executor (foreseen: the p99 of the time, the median of the wait; kept: for the way out)")
    rows = [
        (
            each.rung,
            f"{each.queued:,}",
            f"{each.queued - each.started:,}",
            _or_dash(each.texts_mean, ".2f"),
            f"{each.run_p50_ms:.3f}",
            f"{each.run_p99_ms:.3f}",
            _or_dash(each.predicted_p50_ms, ".3f"),
            _or_dash(each.covered_share, ".1%"),
            f"{each.kept_back_p50_ms:.3f}",
            f"{each.wait_p50_ms:.3f}",
            f"{each.wait_predicted_p50_ms:.3f}",
        )
        for each in audit.predictions
    ]
    columns = "rung,queued,unstarted,texts,p50 ms,p99 ms,foreseen,within it,kept,wait p50,foreseen"
    table(tuple(columns.split(",")), rows)


def _or_dash(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
