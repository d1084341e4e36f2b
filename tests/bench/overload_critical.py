"""Critical requests at a steady rate while sheddable ones grow twelvefold. A part of `tests.bench.overload`.

Available is a critical request that a model answers within its budget. Afterwards `takt check-history` holds what the
clients saw against the server's decision log.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from tests.bench import report
from tests.bench.overload_load import shares
from tests.bench.overload_numbers import Numbers, numbers
from tests.bench.overload_plan import CLASSES, Part, Plan
from tests.bench.overload_run import run_once, server, until_valid
from tests.bench.traffic import EXAMPLE

if TYPE_CHECKING:
    from tests.bench.overload import Bench
    from tests.bench.overload_run import Seen

_CRITICAL, _SHEDDABLE, _GROWTH = 0.3, 0.2, 12  # of C
_AVAILABLE = 0.994
_MODELS = ("large", "small")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one class in one part of the run; `available` of all that were scheduled."""

    part: str
    criticality: str
    available: float
    numbers: Numbers


class Finding(msgspec.Struct, frozen=True):
    rule: str
    claim: str
    checked: int
    violated: int


class _Checked(msgspec.Struct, frozen=True):
    holds: bool
    findings: tuple[Finding, ...]


def measure(bench: Bench) -> dict[str, object]:
    """Calm, twelvefold, calm."""
    units, given = bench.units, bench.given
    calm, rise, critical = (_CRITICAL + _SHEDDABLE), _CRITICAL + _GROWTH * _SHEDDABLE, _CRITICAL * units.c
    parts = [Part(name=name, rate=load * units.c, seconds=given.seconds, critical=critical)
             for name, load in (("before", calm), ("twelvefold", rise), ("after", calm))]  # fmt: skip
    plan = Plan(parts=tuple(parts), budget_ms=units.budget_ms, seed=given.seed, lag_ms=given.lag_ms,
                warm_up_s=given.warm_up_s)  # fmt: skip
    with TemporaryDirectory() as folder:
        turn = count()

        def once() -> Seen:
            log, out = _files(folder, next(turn))
            with server("takt", {"TAKT__LOG__PATH": str(log)}) as process:
                return run_once(process, plan, out=out)

        seen = until_valid(once)
        checked = _check_history(*_files(folder, next(turn) - 1))
    groups = []
    for part in parts:
        its = seen.whole.on(part.name)
        for at, name in enumerate(CLASSES):
            told = numbers(its.where(its.planned["criticality"] == at), bench.qualities, valid=not seen.why_invalid)
            available = sum(told.rungs.get(rung, 0.0) for rung in _MODELS)
            groups.append(Group(part=part.name, criticality=name, available=available, numbers=told))
    _tell(groups, checked)
    return {"groups": groups, "history": checked}


def _files(folder: str, turn: int) -> tuple[Path, Path]:
    return Path(folder, f"{turn}.sqlite"), Path(folder, f"{turn}")


def _check_history(log: Path, out: Path) -> _Checked | None:
    """None: it could not be checked; it has said why."""
    command = [sys.executable, "-m", "router.cli", "check-history", str(out), "--log", str(log), "--json",
               "-c", str(EXAMPLE / "takt.toml")]  # fmt: skip
    said = subprocess.run(command, stdout=subprocess.PIPE, cwd=report.RESULTS.parent, check=False)
    return msgspec.json.decode(said.stdout, type=_Checked) if said.stdout else None


def _tell(groups: list[Group], checked: _Checked | None) -> None:
    rows: list[tuple[object, ...]] = [
        (each.part + ("" if each.numbers.valid else " -"), each.criticality, f"{each.numbers.requests:,}",
         f"{each.numbers.attainment:.2%}", f"{each.available:.2%}", shares(each.numbers.rungs),
         shares(each.numbers.degraded), f"{each.numbers.shed:.2%}", f"{each.numbers.late:.2%}", each.numbers.p99_ms)
        for each in groups
    ]  # fmt: skip
    report.table(("part", "criticality", "requests", "in budget", "by a model", "by rung", "degraded", "shed", "late",
                  "p99 ms"), rows)  # fmt: skip
    worst = min(each.available for each in groups if each.criticality == CLASSES[0])
    report.verdict(f"critical requests answered by a model in time: {worst:.2%}, at least {_AVAILABLE:.1%}",
                   is_met=worst >= _AVAILABLE)  # fmt: skip
    refused = sum(each.numbers.shed for each in groups if each.criticality == CLASSES[0])
    report.verdict("no critical request was refused", is_met=not refused)
    if checked is None:
        report.verdict("takt check-history holds: it did not run", is_met=False)
        return
    for each in checked.findings:
        if each.violated:
            print(f"  {each.rule}: {each.violated:,} of {each.checked:,} violate: {each.claim}")
    report.verdict("takt check-history: every rule holds", is_met=checked.holds)
