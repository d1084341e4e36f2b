"""`takt check-history RUN`: does a load test's history, beside the server's decision log, hold what Takt promises?"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadtest.history import History
from loadtest.run import METRICS_AFTER, METRICS_BEFORE, open_run
from loadtest.view import FOREVER_NS
from router.commands.correction import open_log
from router.commands.errors import CommandError
from router.commands.location import config_flag, find_config, shown
from router.commands.terminal import say, table
from router.config import load_config
from router.history import Entry, Report, check
from router.history.check import Circumstances
from router.history.count import Counts, between, read_counts
from router.http.callers import Callers
from router.http.errors import Unauthorized
from router.log import since

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

    from loadtest.run import Run
    from router.config import Settings
    from router.history import Violation
    from router.log import SqliteStore

# Between the clocks of two hosts, and between an answer and its place in the log.
_SLACK_NS = 5_000_000_000
_BETWEEN_CLIENT_AND_SERVER = ("proxy", "sigstop")
_SHOWN = 5


def run(args: Namespace) -> int:
    """Check and tell. Returns: 0: every rule holds; 1: one is broken. Raises: CommandError, RunError, LogError."""
    run_ = open_run(args.run)
    if run_.record.status == "planned" or run_.record.merged_from:
        why = "was never finished" if run_.record.status == "planned" else "was merged: check its parts"
        raise CommandError(f"{args.run}: {why}")
    path = find_config(args.config, or_example=True)
    config = load_config(path, os.environ)
    log = open_log(config, args.log)
    record = run_.record
    during = record.origin_wall_ns, record.origin_wall_ns + record.ended_ns
    circumstances = Circumstances(
        during=during,
        max_ms=config.settings.budget.max_ms,
        most_critical=_granted_rank(config.settings, record.scenario.target.headers),
        outages=_outages(run_),
        is_complete=record.status == "complete",
        counted=_counted(run_),
    )
    report = check(record.id, History(run_), _entries(log, during), circumstances)
    if not report.recorded:
        where = shown(args.log or config.path(config.settings.log.path))
        raise CommandError(f"{where}: holds no decision of {args.run}; name the project of its server (-c) or --log")
    if args.json:
        say(msgspec.json.encode(report).decode())
    else:
        _tell(report, config_flag(path), args.log)
    return 0 if report.holds else 1


def _granted_rank(settings: Settings, headers: Mapping[str, str]) -> int:
    """How critical the server takes the run's requests to be at most."""
    authorization = {name.lower(): value for name, value in headers.items()}.get("authorization")
    with suppress(Unauthorized):  # then there is nothing to judge: each was refused with 401
        return Callers(settings.callers, settings.server.most_critical).of(authorization).most_critical.rank
    return 0


def _entries(log: SqliteStore, during: tuple[int, int]) -> Iterator[Entry]:
    """Of that time, the last written first."""
    since_ns, until_ns = during[0] - _SLACK_NS, during[1] + _SLACK_NS
    return (Entry.of(record) for record in since(log.newest(), since_ns) if record.at_ns <= until_ns)


def _outages(run_: Run) -> list[tuple[int, int]]:
    """When connections were broken on purpose; one that nobody mended lasts."""
    return [
        (fault.begin_ns, fault.end_ns if fault.end_ns >= 0 else FOREVER_NS)
        for fault in run_.record.faults
        if fault.kind in _BETWEEN_CLIENT_AND_SERVER
    ]


def _counted(run_: Run) -> Counts | None:
    try:
        before, after = ((run_.path / name).read_text(encoding="utf-8") for name in (METRICS_BEFORE, METRICS_AFTER))
    except (OSError, UnicodeDecodeError):
        return None
    return between(read_counts(before), read_counts(after))


def _tell(report: Report, flag: str, log: Path | None) -> None:
    say(f"Run {report.run}: {report.requests:,} requests, {report.recorded:,} of them in the decision log", "")
    table(
        ("rule", "claim", "checked", "violated"),
        [(each.rule, each.claim, f"{each.checked:,}", f"{each.violated:,}") for each in report.findings],
    )
    for each in report.findings:
        if each.violated or each.notes:
            say("", f"{each.rule}: judged by {each.evidence}")
        for violation in each.violations[:_SHOWN]:
            _tell_of(violation, flag, log)
        if each.violated > _SHOWN:
            say(f"  and {each.violated - _SHOWN:,} more")
        for line in each.notes:
            say(f"  note: {line}")
    broken = [each.rule for each in report.findings if each.violated]
    unseen = [each.rule for each in report.findings if not each.checked]
    but = f"; nothing in this history to judge {', '.join(unseen)} by" if unseen else ""
    say("", f"broken: {', '.join(broken)}" if broken else f"every rule holds{but}")


def _tell_of(violation: Violation, flag: str, log: Path | None) -> None:
    at = datetime.fromtimestamp(violation.at_ns / 1e9, UTC).astimezone().isoformat(sep=" ", timespec="milliseconds")
    say(f"  {f'{at}  {violation.id}: ' if violation.id else ''}{violation.what}")
    elsewhere = "" if log is None else f"TAKT__LOG__PATH={shlex.quote(str(log.absolute()))} "
    for decision_id in (violation.decision_id, *violation.others):
        if decision_id:
            say(f"      {elsewhere}takt explain {decision_id}{flag}")
