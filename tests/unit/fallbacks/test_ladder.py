"""Which rung is next, and why the better ones are skipped."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from budgets.criticality import CRITICAL, CRITICAL_PLUS, SHEDDABLE, SHEDDABLE_PLUS
from fallbacks.breaker import Breaker, BreakerSettings, Ending
from fallbacks.ladder import Ask, Choice, Degraded, Rung, Skip, choose, degraded
from tests.jobs import LinearCost, work_of

MS = 1_000_000
HOP_NS = 1 * MS
Rungs = tuple[Rung[Any, Any], ...]


@dataclass
class FakeLine:
    waits_ns: int = 0
    runs_over_ns: int = 0
    is_idle: bool = False
    asked: list[tuple[int, int, int]] = field(default_factory=list)

    def ahead(self, rank: int) -> int:
        return 0 if self.is_idle else 1

    def wait_ns(self, rank: int, latest_start_ns: int, now_ns: int) -> int:
        self.asked.append((rank, latest_start_ns, now_ns))
        return self.waits_ns

    def overdue_ns(self, now_ns: int) -> int:
        return self.runs_over_ns


def rung(name: str, p99_ns: int, *, needs_executor: bool) -> Rung[Any, Any]:
    cost = LinearCost(0, p99_ns, factors=(0.5, 0.9, 1.0, 1.1))
    breaker = Breaker(BreakerSettings(min_calls=1), Random(0))
    return Rung(name, cost, breaker, work_of(cost) if needs_executor else None)


def ladder() -> Rungs:
    """20 ms on the executor, 2 ms inline; the median half, the .9 quantile a tenth less, the .995 a tenth more."""
    return rung("large", 20 * MS, needs_executor=True), rung("small", 2 * MS, needs_executor=False)


@dataclass
class Door:
    """Whether the executor may be used, and what was asked for."""

    is_open: bool = True
    asked_ns: list[int] = field(default_factory=list)

    def __call__(self, cost_ns: int) -> bool:
        self.asked_ns.append(cost_ns)
        return self.is_open


def pick(
    rungs: Rungs,
    line: FakeLine,
    commit_ns: int,
    skips: list[Skip] | None = None,
    *,
    rank: int = CRITICAL,
    door: Door | None = None,
    is_explorer: bool = False,
) -> tuple[Choice[Rung[Any, Any]] | None, list[Skip]]:
    skips = [] if skips is None else skips
    ask = Ask(rank, 20, commit_ns, door or Door(), is_explorer)
    return choose(rungs, skips, line, ask, now_ns=0, hop_ns=HOP_NS), skips


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
    assert choice.latest_start_ns == choice.until_ns - 20 * MS
    choice, _ = pick(rungs, FakeLine(), 50 * MS, [Skip("large", Degraded.ERROR)])
    assert choice is not None
    assert choice.until_ns == 50 * MS, "inline there is nothing to wait for"
    choice, _ = pick(rungs[:1], FakeLine(), 50 * MS)
    assert choice is not None
    assert choice.until_ns == 50 * MS - HOP_NS, "no rung below"


def test_a_choice_tells_what_is_expected() -> None:
    choice, _ = pick(ladder(), FakeLine(waits_ns=5 * MS, runs_over_ns=11 * MS), 80 * MS)
    assert choice is not None
    assert (choice.wait_ns, choice.cost_ns) == (5 * MS, 22 * MS), "it is likely to run as long again"


@pytest.mark.parametrize(
    ("rank", "cost_ms", "below_ms"),
    [(CRITICAL_PLUS, 22, 2.2), (CRITICAL, 20, 2), (SHEDDABLE_PLUS, 18, 1.8), (SHEDDABLE, 18, 1.8)],
)
def test_each_class_has_its_margin(rank: int, cost_ms: float, below_ms: float) -> None:
    line, needed_ns = FakeLine(), int((cost_ms + below_ms) * MS) + HOP_NS
    choice, _ = pick(ladder(), line, needed_ns, rank=rank)
    assert choice is not None
    assert (choice.rung.name, choice.cost_ns) == ("large", cost_ms * MS)
    assert line.asked == [(rank, 0, 0)], "its place in the line: it must start at once"
    choice, _ = pick(ladder(), line, needed_ns - 1, rank=rank)
    assert choice is not None
    assert choice.rung.name == "small"


def test_time_that_was_lost_before_is_overload() -> None:
    """An idle server would have had it."""
    ask = Ask(CRITICAL, 20, int(22.9 * MS), Door(), lost_ns=MS)
    skips: list[Skip] = []
    assert choose(ladder(), skips, FakeLine(), ask, now_ns=0, hop_ns=HOP_NS) is not None
    assert skips == [Skip("large", Degraded.OVERLOAD)]


def test_an_explorer_tries_what_seems_too_slow() -> None:
    """Half as much again as its median is enough."""
    choice, _ = pick(ladder(), FakeLine(), 17_800_000, rank=SHEDDABLE, is_explorer=True)
    assert choice is not None
    assert (choice.rung.name, choice.cost_ns) == ("large", 15 * MS)
    assert choice.latest_start_ns == choice.until_ns - 15 * MS == 0
    choice, _ = pick(ladder(), FakeLine(), 17_799_999, rank=SHEDDABLE, is_explorer=True)
    assert choice is not None
    assert choice.rung.name == "small", "but not one that is slower even so"
    choice, _ = pick(ladder(), FakeLine(0, 30 * MS), 50 * MS, rank=SHEDDABLE, is_explorer=True)
    assert choice is not None
    assert choice.rung.name == "small", "nor one that hangs"


def test_an_executor_that_nobody_else_wants_is_tried_on_a_thin_margin() -> None:
    """By anybody: what stands in still fits when the wait ends."""
    choice, _ = pick(ladder(), FakeLine(is_idle=True), 18 * MS)
    assert choice is not None
    assert (choice.rung.name, choice.cost_ns) == ("large", 15 * MS)
    choice, _ = pick(ladder(), FakeLine(is_idle=True), 18 * MS - 1)
    assert choice is not None
    assert choice.rung.name == "small"
    choice, _ = pick(ladder(), FakeLine(), 18 * MS)
    assert choice is not None
    assert choice.rung.name == "small", "with somebody ahead it is a risk for those behind"


def test_who_may_not_queue_at_all_asks_nothing_of_the_line() -> None:
    """Under pressure that is most requests."""
    for commit_ns, why in ((50 * MS, Degraded.OVERLOAD), (20 * MS, Degraded.BUDGET)):
        line, skips = FakeLine(waits_ns=5 * MS), list[Skip]()
        ask = Ask(SHEDDABLE, 20, commit_ns, None)
        choice = choose(ladder(), skips, line, ask, now_ns=0, hop_ns=HOP_NS)
        assert choice is not None
        assert choice.rung.name == "small"
        assert [skip.why for skip in skips] == [why]
        assert line.asked == []


def test_an_explorer_never_needs_more_than_others() -> None:
    cost = LinearCost(0, 20 * MS, factors=(1.0, 1.1, 1.2, 1.3))
    large = Rung("large", cost, Breaker(BreakerSettings(), Random(0)), work_of(cost))
    choice, _ = pick((large,), FakeLine(), 50 * MS, rank=SHEDDABLE, is_explorer=True)
    assert choice is not None
    assert choice.cost_ns == 22 * MS


def test_an_inline_rung_is_explored_by_nobody() -> None:
    """It would make the others wait."""
    choice, _ = pick(ladder()[1:], FakeLine(), int(1.7 * MS), rank=SHEDDABLE, is_explorer=True)
    assert choice is None


def test_who_may_not_use_the_executor_has_the_rungs_inline() -> None:
    rungs, door = ladder(), Door(is_open=False)
    rungs[0].breaker.record(0, Ending.FAILED, -10_000 * MS)
    choice, skips = pick(rungs, FakeLine(), 50 * MS, door=door)
    assert choice is not None
    assert choice.rung is rungs[1]
    assert skips == [Skip("large", Degraded.OVERLOAD)]
    assert door.asked_ns == [10 * MS], "the median of one"
    assert rungs[0].breaker._probes == 0, "the permit was given back"


def test_the_executor_is_not_asked_for_in_vain() -> None:
    """What is granted is drawn."""
    door, rungs = Door(), ladder()
    pick(rungs, FakeLine(), 10 * MS, door=door)
    pick(rungs, FakeLine(waits_ns=40 * MS), 50 * MS, door=door)
    rungs[0].breaker.record(0, Ending.FAILED, 0)
    pick(rungs, FakeLine(), 50 * MS, door=door)
    assert door.asked_ns == []
    pick(rungs[1:], FakeLine(), 50 * MS, door=door)
    assert door.asked_ns == [], "nor for what runs inline"


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


def test_a_rung_with_work_needs_the_executor() -> None:
    large, small = ladder()
    assert large.needs_executor
    assert not small.needs_executor


def test_degraded_tells_what_befell_the_best_one() -> None:
    assert degraded([]) is Degraded.NONE
    assert degraded([Skip("large", Degraded.BREAKER), Skip("small", Degraded.ERROR)]) is Degraded.BREAKER


def test_the_words_on_the_wire() -> None:
    assert [why.value for why in Degraded] == ["none", "budget", "overload", "breaker", "error", "cold"]
