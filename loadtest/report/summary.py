"""Every number of a report, computed once. `--json` prints this; the pages only draw it."""

from __future__ import annotations

from typing import Literal

from loadtest.agents.book import AgentsRecord
from loadtest.compare import Comparison
from loadtest.errors import FAILED, INCONCLUSIVE, INTERRUPTED, INVALID, PASSED
from loadtest.gate.judge import GateResult, overall
from loadtest.health import Validity, check
from loadtest.quantity import US, S
from loadtest.report.section.agreement import Quality, tell_quality
from loadtest.report.section.attainment import Attainment, tell_attainment
from loadtest.report.section.failure import Failures, tell_failures
from loadtest.report.section.flow import Books, Little, Throughput, tell_books, tell_little, tell_throughput
from loadtest.report.section.ladder import Ladder, tell_ladder
from loadtest.report.section.latency import Latency, tell_latency
from loadtest.report.section.origin import Origin, tell_origin
from loadtest.report.section.part import Histogram, Part, histogram
from loadtest.report.section.stage import Waterfall, tell_waterfall
from loadtest.run import Run
from loadtest.view import View

Verdict = Literal["pass", "fail", "inconclusive", "invalid", "interrupted", "ungated"]
EXIT_CODES: dict[Verdict, int] = {
    "pass": PASSED,
    "fail": FAILED,
    "inconclusive": INCONCLUSIVE,
    "invalid": INVALID,
    "interrupted": INTERRUPTED,
    "ungated": PASSED,
}


class Summary(Part, frozen=True, kw_only=True):
    """The JSON output.

    `verdict`: fail whenever an agent held more than it may; else interrupted and invalid go before what gates say;
    ungated: no gate was asked for. `agents`: as in run.json; null: the scenario has none.
    """

    schema: Literal["loadtest-summary/1"] = "loadtest-summary/1"
    verdict: Verdict
    exit_code: int
    gates: tuple[GateResult, ...]
    validity: Validity
    lag: Histogram
    throughput: Throughput
    books: Books
    latency: Latency
    attainment: Attainment
    ladder: Ladder
    quality: Quality
    agents: AgentsRecord | None
    waterfall: Waterfall | None
    little: Little | None
    failures: Failures
    origin: Origin
    comparison: Comparison | None

    @property
    def is_judged(self) -> bool:
        """Whether what the gates say tells of the server."""
        return self.validity.valid and self.origin.status == "complete"

    @property
    def over_capacity(self) -> int:
        """Times that an agent held more than it may; anything but 0 is a defect of the server."""
        return 0 if self.agents is None else self.agents.over_capacity


def summarise(run: Run, whole: View, results: tuple[GateResult, ...], comparison: Comparison | None = None) -> Summary:
    """All sections of a run.

    Args: whole: all of the run's requests, warm-up included.
    """
    measured = whole.on("all")
    validity = check(run, whole)
    verdict = _verdict(run, validity, results)
    throughput = tell_throughput(measured)
    return Summary(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        gates=results,
        validity=validity,
        lag=histogram(measured.lag_ns, US, S, 6),
        throughput=throughput,
        books=tell_books(whole, measured, validity),
        latency=tell_latency(whole, measured),
        attainment=tell_attainment(measured),
        ladder=tell_ladder(whole, measured),
        quality=tell_quality(run, measured, throughput.seconds),
        agents=run.record.agents,
        waterfall=tell_waterfall(measured),
        little=tell_little(whole),
        failures=tell_failures(measured),
        origin=tell_origin(run.record),
        comparison=comparison,
    )


def _verdict(run: Run, validity: Validity, results: tuple[GateResult, ...]) -> Verdict:
    if run.record.agents is not None and run.record.agents.over_capacity:
        return "fail"  # that it was seen stays true, whatever became of the run
    if run.record.status == "interrupted":
        return "interrupted"
    if not validity.valid or run.record.status != "complete":
        return "invalid"
    return overall(results) if results else "ungated"
