"""Which rung is next, and why the better ones are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from budgets.predictor import CostEstimate
from fallbacks.breaker import Breaker, BreakerSettings, Ending
from fallbacks.ladder import Choice, Degraded, Rung, Skip, choose, degraded

MS = 1_000_000
HOP_NS = 1 * MS


@dataclass
class FakeLine:
    waits_ns: int = 0
    runs_over_ns: int = 0

    def wait_ns(self, now_ns: int) -> int:
        return self.waits_ns

    def overdue_ns(self, now_ns: int) -> int:
        return self.runs_over_ns


def rung(name: str, p99_ns: int, *, needs_executor: bool) -> Rung:
    cost = CostEstimate(1, 1)
    cost._p99_ns, cost._until_ns = p99_ns, 1 << 62
    return Rung(name, cost, Breaker(BreakerSettings(min_calls=1), Random(0)), needs_executor)


def ladder() -> tuple[Rung, Rung]:
    """20 ms on the executor, 2 ms inline."""
    return rung("large", 20 * MS, needs_executor=True), rung("small", 2 * MS, needs_executor=False)


def pick(
    rungs: tuple[Rung, ...], line: FakeLine, commit_ns: int, skips: list[Skip] | None = None
) -> tuple[Choice[Rung] | None, list[Skip]]:
    skips = [] if skips is None else skips
    return choose(rungs, skips, line, now_ns=0, commit_ns=commit_ns, hop_ns=HOP_NS), skips


@pytest.mark.parametrize(
    ("line", "commit_ms", "chosen", "why"),
    [
        pytest.param(FakeLine(), 50, "large", [], id="all the time of the world"),
        pytest.param(FakeLine(), 23, "large", [], id="20 + 1 for the hop + 2 for small fit exactly"),
        pytest.param(FakeLine(), 22.9, "small", [Degraded.BUDGET], id="not quite"),
        pytest.param(FakeLine(waits_ns=5 * MS), 28, "large", [], id="there is time for those ahead"),
        pytest.param(FakeLine(waits_ns=6 * MS), 28, "small", [Degraded.OVERLOAD], id="too many ahead"),
        pytest.param(FakeLine(waits_ns=6 * MS), 22, "small", [Degraded.BUDGET], id="an idle server would not do"),
        pytest.param(FakeLine(0, 30 * MS), 50, "small", [Degraded.BUDGET], id="stalled: 60 ms are expected"),
        pytest.param(
            FakeLine(14 * MS, 14 * MS), 40, "small", [Degraded.BUDGET], id="behind one that drags: no overload"
        ),
        pytest.param(FakeLine(), 1.9, None, [Degraded.BUDGET, Degraded.BUDGET], id="not even small"),
        pytest.param(FakeLine(waits_ns=9**20), 2, "small", [Degraded.BUDGET], id="small does not wait in line"),
    ],
)
def test_the_best_that_fits(line: FakeLine, commit_ms: float, chosen: str | None, why: list[Degraded]) -> None:
    choice, skips = pick(ladder(), line, int(commit_ms * MS))
    assert (choice.rung.name if choice else None) == chosen
    assert [skip.why for skip in skips] == why


def test_one_waits_only_as_long_as_the_next_rung_still_fits() -> None:
    rungs = ladder()
    choice, _ = pick(rungs, FakeLine(), 50 * MS)
    assert choice is not None
    assert choice.until_ns == 50 * MS - HOP_NS - 2 * MS
    choice, _ = pick(rungs, FakeLine(), 50 * MS, [Skip("large", Degraded.ERROR)])
    assert choice is not None
    assert choice.until_ns == 50 * MS, "inline there is nothing to wait for"
    choice, _ = pick(rungs[:1], FakeLine(), 50 * MS)
    assert choice is not None
    assert choice.until_ns == 50 * MS - HOP_NS, "no rung below"


def test_a_rung_out_of_service_is_skipped() -> None:
    rungs = ladder()
    rungs[0].breaker.record(0, Ending.FAILED, 0)
    choice, skips = pick(rungs, FakeLine(), 50 * MS)
    assert choice is not None
    assert choice.rung is rungs[1]
    assert skips == [Skip("large", Degraded.BREAKER)]


def test_the_breaker_of_a_rung_that_does_not_fit_is_not_asked() -> None:
    """Or a probe would be taken and never end."""
    rungs = ladder()
    rungs[0].breaker.record(0, Ending.FAILED, -10_000 * MS)
    pick(rungs, FakeLine(), 10 * MS)
    assert rungs[0].breaker._probes == 0


def test_what_was_skipped_is_not_tried_again() -> None:
    rungs = ladder()
    choice, skips = pick(rungs, FakeLine(), 50 * MS, [Skip("large", Degraded.ERROR)])
    assert choice is not None
    assert choice.rung is rungs[1]
    assert len(skips) == 1
    assert pick(rungs, FakeLine(), 50 * MS, [Skip("", Degraded.ERROR)] * 2)[0] is None


def test_degraded_tells_what_befell_the_best_one() -> None:
    assert degraded([]) is Degraded.NONE
    assert degraded([Skip("large", Degraded.BREAKER), Skip("small", Degraded.ERROR)]) is Degraded.BREAKER


def test_the_words_on_the_wire() -> None:
    assert [why.value for why in Degraded] == ["none", "budget", "overload", "breaker", "error", "cold"]
