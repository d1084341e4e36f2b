"""Takt under every scenario that ships: `python -m tests.bench.load_takt [--models DIR] [--only NAME …] [--json]`.

The example bank with the rungs `large` and `small`, as `takt train` makes them, faults allowed; a new server for each
scenario, on a core of its own, with its log in a temporary directory. Degraded answers are asked for again afterwards
and compared. Then the highest rate at which `takt loadtest search` finds 99 % in time and 80 % by `large`. `soak` lasts
a tenth of its ten minutes without `--soak`. Reports as HTML: bench-results/load.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.gate.judge import judge
from loadtest.quality.choose import is_degraded
from loadtest.quantity import MS, Ns
from loadtest.report import page
from loadtest.report.summary import summarise
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.shipped import shipped
from loadtest.scenario.spec import PhaseSpec, RateSpec, Scenario
from loadtest.view import view
from models.spec import read_manifest
from models.store import resolve
from tests.bench import report
from tests.bench.server_process import GENERATOR_CORE, NO_QUEUES, ServerProcess
from tests.bench.traffic import EXAMPLE

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from loadtest.report.summary import Summary
    from loadtest.run import Run

_REPORTS = report.RESULTS / "load"
_SEARCH = "search"
_SLO, _KEEP = "attainment() >= 0.99", "share(rung=large) >= 0.8"
_SOAK_SCALE = 0.1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a scenario. Shares are of all measured requests; `degraded` and `agreement` of the answers."""

    scenario: str
    requests: int
    attainment: float
    p50_ms: float
    p99_ms: float
    degraded: float
    errors: int
    shed: int
    unanswered: int
    rungs: dict[str, float]
    agreement: tuple[float, float, float] | None  # value and its 95 % interval
    gates: tuple[str, ...]
    verdict: str
    exit_code: int
    lag_p99_ms: float
    why_invalid: tuple[str, ...]

    def cells(self) -> tuple[object, ...]:
        agreed = "" if self.agreement is None else "{:.1%} [{:.1%}, {:.1%}]".format(*self.agreement)
        return (self.scenario, f"{self.requests:,}", f"{self.attainment:.2%}", self.p50_ms, self.p99_ms,
                f"{self.degraded:.1%}", f"{self.errors} / {self.shed} / {self.unanswered}", agreed,
                f"{self.verdict}, exit {self.exit_code}", f"{self.lag_p99_ms:.2f}")  # fmt: skip


_HEADER = ("scenario", "requests", "in budget", "p50 ms", "p99 ms", "degraded", "error / shed / no answer",
           "agreement [95 %]", "verdict", "lag p99 ms")  # fmt: skip


def scaled(scenario: Scenario, scale: float) -> Scenario:
    """The same in less time: phases, faults and days."""

    def shorter(ns: int) -> Ns:
        return Ns(round(ns * scale))

    def phase(spec: PhaseSpec) -> PhaseSpec:
        rate = spec.rate
        if isinstance(rate, RateSpec) and rate.diurnal is not None:
            day = msgspec.structs.replace(rate.diurnal, period=shorter(rate.diurnal.period))
            rate = msgspec.structs.replace(rate, diurnal=day)
        return msgspec.structs.replace(spec, rate=rate, for_=shorter(spec.for_))

    return msgspec.structs.replace(
        scenario,
        phases=[phase(each) for each in scenario.phases],
        faults=[
            msgspec.structs.replace(each, at=shorter(each.at), for_=shorter(each.for_)) for each in scenario.faults
        ],
    )


def run(name: str, given: Namespace) -> Row:
    """One scenario against a new server; writes its report."""
    scenario = scaled(parse_scenario(name), given.scale * (_SOAK_SCALE if name == "soak" and not given.soak else 1))
    quality = msgspec.structs.replace(scenario.quality, replay=given.replay)
    with _server(Path(given.models).resolve()) as server, TemporaryDirectory() as folder:
        target = msgspec.structs.replace(scenario.target, url=server.url)
        options = Options(out=Path(folder, "run"), pin=(GENERATOR_CORE,), command=f"takt loadtest run {name}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            done = runner.run(conduct(msgspec.structs.replace(scenario, target=target, quality=quality), options))
        if done.record.status != "complete":
            raise KeyboardInterrupt
        row, summary = _read(name, done)
        _REPORTS.mkdir(parents=True, exist_ok=True)
        (_REPORTS / f"{name}.html").write_text(page.render(summary), encoding="utf-8")
    return row


def _read(name: str, done: Run) -> tuple[Row, Summary]:
    whole = view(done)
    results = judge(whole, done.record.scenario.gates, payloads=done.payloads)
    summary = summarise(done, whole, results)
    measured = whole.on("all")
    counts, answered = measured.counts(), max(1, int(measured.is_answered.sum()))
    by_q = {each.q: each.intended_ns for each in summary.latency.quantiles}
    agreed = summary.quality.answers
    row = Row(
        scenario=name,
        requests=len(measured),
        attainment=summary.attainment.own or 0.0,
        p50_ms=_ms(by_q[0.5]),
        p99_ms=_ms(by_q[0.99]),
        degraded=float(is_degraded(measured).sum()) / answered,
        errors=counts["error"],
        shed=counts["shed"],
        unanswered=counts["unsent"] + counts["unfinished"],
        rungs={each.rung: each.answers / answered for each in summary.quality.rungs},
        agreement=None if agreed is None else (agreed.value, agreed.low, agreed.high),
        gates=tuple(f"{each.verdict}: {each.gate} (on {each.on})" for each in results),
        verdict=summary.verdict,
        exit_code=summary.exit_code,
        lag_p99_ms=summary.validity.lag_p99_ns / MS,
        why_invalid=summary.validity.reasons,
    )
    return row, summary


def search(given: Namespace) -> object:
    """As an operator types it. Returns: what it wrote."""
    with _server(Path(given.models).resolve()) as server, TemporaryDirectory() as folder:
        out = Path(folder, "search")
        command = [sys.executable, "-m", "router.cli", "loadtest", "search", "steady", "--slo", _SLO, "--keep", _KEEP,
                   "--target", server.url, "--pin", str(GENERATOR_CORE), "--from", given.search_from,
                   "--step", given.search_step, "--confirm", given.search_confirm, "--live", "off",
                   "--out", str(out)]  # fmt: skip
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=report.RESULTS.parent, check=False)
        print(f"\ntakt loadtest search steady --slo '{_SLO}' --keep '{_KEEP}': exit {said.returncode}\n{said.stdout}")
        if not (out / "search.json").exists():
            return None
        return {"exit_code": said.returncode, **msgspec.json.decode((out / "search.json").read_bytes())}


@contextmanager
def _server(models: Path) -> Iterator[ServerProcess]:
    with TemporaryDirectory() as folder:
        environment = {
            "TAKT__MODELS__DIR": str(models),
            "TAKT__LOG__PATH": str(Path(folder, "takt.sqlite")),
        } | NO_QUEUES
        with ServerProcess("takt-faults", **environment) as server:
            yield server


def _require_rungs(models: Path) -> None:
    if "large" not in {rung.name for rung in read_manifest(resolve(models).path).rungs}:
        raise SystemExit(f"{models}: has no rung large; `make encoder` and `takt train`, or name others with --models")


def _ms(ns: int | None) -> float:
    return float("inf") if ns is None else ns / MS


def main() -> None:
    """A row for each scenario, its gates, and the search."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--models", default=str(EXAMPLE / "models"), help="default: the example bank's")
    arguments.add_argument("--only", nargs="+", choices=(*shipped(), _SEARCH), default=(*shipped(), _SEARCH))
    arguments.add_argument("--soak", action="store_true", help="all ten minutes of it")
    arguments.add_argument("--scale", type=float, default=1, help="of the scenarios' times (default: 1)")
    arguments.add_argument("--replay", type=int, default=200, help="degraded answers asked again, of each rung")
    arguments.add_argument("--search-from", default="50", help="lowest rate (default: 50)")
    arguments.add_argument("--search-step", default="20s")
    arguments.add_argument("--search-confirm", default="60s")
    given = arguments.parse_args()
    _require_rungs(Path(given.models))
    rows, began_s = [], time.monotonic()
    for name in given.only:
        if name != _SEARCH:
            rows.append(run(name, given))
            report.pace(f"{name}: {rows[-1].verdict}", began_s)
    report.table(_HEADER, [each.cells() for each in rows])
    for each in rows:
        rungs = ", ".join(f"{rung} {share:.1%}" for rung, share in each.rungs.items())
        print(f"\n{each.scenario}: {rungs}", *each.gates, *each.why_invalid, sep="\n  ")
    found = search(given) if _SEARCH in given.only else None
    report.write_json("load_takt", given, {"scenarios": msgspec.to_builtins(rows), "search": found})


if __name__ == "__main__":
    main()
