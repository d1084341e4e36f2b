from __future__ import annotations

import re
from statistics import fmean
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
import scipy.stats

from router.insight.statistics import Statistics
from router.simulate.compare import (
    DAY_METRICS,
    LINE_METRICS,
    Comparison,
    Estimate,
    estimate,
    find,
    policy_result,
    student,
)
from router.simulate.day import S
from router.simulate.measure import Outcome, gini, measure, quantile
from router.simulate.page import render
from router.simulate.play import play
from router.simulate.plot import Axis, Series, draw_lines, nice
from router.simulate.words import show_difference, show_interval
from tests.simulated_days import START_NS, Watched, agent, always, customer, day, no_pairs, policy, run

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE, SECONDS = LINE_METRICS[0], LINE_METRICS[2]
NOBODY = Estimate(mean=0.25, low=None, high=None, days=1)


def outcome(seed: int, agents: int = 3) -> Outcome:
    people = [agent(f"a{n}", reaction=always(4), decline_share=0.2, miss_share=0.05) for n in range(agents)]
    customers = [customer(f"c{at}", at * 13, 30 + 7 * at % 60, 40 + at % 90) for at in range(150)]
    return measure(run(day(customers, people, seed)), {"line": 20.0})


def comparison(*candidates: Sequence[Outcome]) -> Comparison:
    return Comparison(
        world="test <b>world</b>", description="", seed=0, days=len(candidates[0]), confidence=0.95,
        targets_s={"line": 20.0},
        policies=tuple(
            policy_result(f"p{at} & co", "v", each, candidates[0] if at else None) for at, each in enumerate(candidates)
        ),
    )  # fmt: skip


def test_levels_by_their_definitions() -> None:
    """One answered in 10 s, one in 40 s, one left after 5 s, one after 30 s; the target is 20 s."""
    customers = [
        customer("fast", 0, 100), customer("five", 1, 1, 5), customer("thirty", 2, 1, 30), customer("slow", 70, 10),
    ]  # fmt: skip
    one = agent("ana", reaction=always(10))
    line = measure(run(day(customers, [one])), {"line": 20.0}).lines[0]
    assert (line.customers, line.answered, line.abandoned) == (4, 2, 2)
    assert line.asa_s == (10 + 50) / 2
    assert line.answered_level == 1 / 2
    assert line.service_level == 2 / 4
    assert line.abandoned_share == 2 / 4
    assert line.wait_p90_s == 50


def test_figures_are_those_that_the_server_would_tell() -> None:
    """The product's statistics, folded from the events of the same run."""
    people = [
        agent(f"a{n}", reaction=always(4), wrap=always(9), decline_share=0.1, miss_share=0.1, resource={"capacity": 2})
        for n in range(3)
    ]
    customers = [customer(f"c{at}", 60 + at * 13, 30 + 7 * at % 60, 40 + at % 90) for at in range(200)]
    chosen = policy(line={"target_s": 20.0})
    engine, told = Watched(chosen), Statistics(chosen)
    outcome = measure(play(day(customers, people), engine, no_pairs), {"line": 20.0})
    for event in engine.events:
        told.fold(event)
    (queue,) = told.queues(86_400, engine.state.now_ns)
    line = outcome.lines[0]
    assert (queue.queued, queue.answered, queue.abandoned) == (line.customers, line.answered, line.abandoned)
    assert queue.asa_s == pytest.approx(line.asa_s, abs=1e-3)
    assert (queue.sl1_share, queue.sl2_share) == (line.answered_level, line.service_level)
    assert queue.abandoned_share == line.abandoned_share
    assert queue.rona_share == outcome.missed_share
    agents = {each.resource_id: each for each in told.agents(86_400, engine.state.now_ns)}
    for name, occupancy in zip(outcome.agents, outcome.occupancies, strict=True):
        assert agents[name].occupancy_share == pytest.approx(occupancy, abs=1e-3)


def test_gini() -> None:
    assert gini([0.5, 0.5, 0.5]) == pytest.approx(0)
    assert gini([0.0, 0.0, 0.0, 1.0]) == pytest.approx(3 / 4)
    assert gini([1.0, 3.0]) == pytest.approx(0.25)
    assert gini([0.0, 0.0]) is None
    assert gini([]) is None


def test_quantile() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.25, 0.26, 0.5, 1)] == [1, 1, 2, 2, 4]


@pytest.mark.parametrize("freedom", [1, 2, 5, 15, 16, 30, 200])
def test_students_quantile(freedom: int) -> None:
    assert student(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), abs=1e-3)


def test_an_interval_is_students() -> None:
    found = estimate([1.0, 2.0, 4.0])
    assert found.low is not None
    low, high = scipy.stats.t.interval(0.95, 2, loc=7 / 3, scale=scipy.stats.sem([1.0, 2.0, 4.0]))
    assert (found.mean, found.low, found.high) == pytest.approx((7 / 3, low, high), abs=1e-3)
    assert estimate([3.0]) == Estimate(mean=3.0, low=None, high=None, days=1)


def test_a_policy_against_itself_differs_by_nothing() -> None:
    days = [outcome(seed) for seed in range(3)]
    result = comparison(days, days)
    assert {(each.value.mean, each.value.low, each.value.high) for each in result.policies[1].differences} == {
        (0, 0, 0)
    }
    assert result.policies[0].differences == ()


def test_more_agents_are_told_from_fewer() -> None:
    few, many = [outcome(seed) for seed in range(4)], [outcome(seed, agents=5) for seed in range(4)]
    result = comparison(few, many)
    gap = find(result.policies[1].differences, "all", "asa_s")
    assert gap is not None
    assert gap.high is not None
    assert gap.high < 0
    means = [fmean(day.lines[0].asa_s or 0 for day in days) for days in (few, many)]
    assert gap.mean == pytest.approx(means[1] - means[0])


def test_a_measure_that_a_day_does_not_have_is_left_out_of_the_mean() -> None:
    days = [outcome(0), msgspec.structs.replace(outcome(1), gini=None)]
    found = find(comparison(days).policies[0].measures, "all", "gini")
    assert found is not None
    assert (found.mean, found.days) == (days[0].gini, 1)


def test_words() -> None:
    wide = Estimate(mean=0.25, low=0.20, high=0.30, days=5)
    assert show_interval(wide, SHARE) == "25.0% ± 5.0%"
    assert show_interval(NOBODY, SHARE) == "25.0%"
    assert show_difference(wide, SHARE) == "+25.0 pp [+20.0 pp, +30.0 pp]"
    assert show_difference(Estimate(mean=-2.0, low=-5.0, high=1.0, days=5), SECONDS) == "−2.0 s [−5.0 s, +1.0 s]"


def page(candidates: int = 2) -> str:
    return render(comparison(*[[outcome(seed, 3 + more) for seed in range(2)] for more in range(candidates)]))


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    html = page()
    assert "default-src 'none'" in html
    assert not re.search(r"<script|https?:|url\(|@import|<link|<img| style=| on\w+=", html)
    assert "<b>world</b>" not in html
    assert "p0 &amp; co" in html


def test_every_figure_is_well_formed_and_tells_itself_in_words() -> None:
    figures = re.findall(r"<figure.*?</figure>", page(), re.DOTALL)
    drawn = [ET.fromstring(figure) for figure in figures]
    names = {figure.findtext("figcaption") for figure in drawn}
    assert {"SL", "ASA", "abandoned", "occupancy", "Gini of occupancy", "Occupancy of each agent"} <= names
    for figure in drawn:
        assert figure.findtext("svg/desc")
        assert figure.findall("svg/polyline") or figure.findall("svg/circle")
    assert len({figure.get("id") for figure in drawn}) == len(drawn)


def test_a_page_of_one_policy_compares_nothing() -> None:
    assert "Differences" not in page(1)
    assert "Differences" in page(2)


def test_the_same_result_gives_the_same_page() -> None:
    assert page() == page()


def test_lines_have_gaps_where_nothing_is_known() -> None:
    axis = Axis("", "{:g}".format)
    drawn = draw_lines("x", "x", [Series("a", [(0, 1.0), (1, 2.0), (2, None), (3, 1.0)])], axis, axis)
    assert drawn.count("<polyline") == 2
    assert draw_lines("x", "x", [Series("a", [(0, None)])], axis, axis) == ""


@pytest.mark.parametrize("high", [0, 1e-9, 0.31, 1, 7, 99, 1e6])
def test_ticks_reach_the_highest(high: float) -> None:
    ticks = nice(high)
    assert ticks[0] == 0
    assert ticks[-1] >= high * 0.999
    assert 2 <= len(ticks) <= 8


def test_every_metric_is_a_field() -> None:
    lines = {field.name for field in msgspec.structs.fields(type(outcome(0).lines[0]))}
    assert {metric.key for metric in LINE_METRICS} <= lines
    assert {metric.key for metric in DAY_METRICS} <= {field.name for field in msgspec.structs.fields(Outcome)}
    assert START_NS % S == 0
