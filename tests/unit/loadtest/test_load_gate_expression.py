from __future__ import annotations

import pytest

from loadtest.errors import ScenarioError
from loadtest.gate.expression import (
    Accuracy,
    Agreement,
    Attainment,
    Condition,
    Metric,
    Mix,
    Quantile,
    Rate,
    Recovery,
    Throughput,
    claimed_share,
    gate_of,
    parse,
    show,
    unit_of,
)

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "metric", "limit", "unit"),
    [
        ("attainment(50ms) >= 0.99", Attainment(50 * MS), 0.99, "share"),
        ("attainment() >= 99%", Attainment(None), 0.99, "share"),
        ("p99 <= 50ms", Quantile(0.99), 50 * MS, "ns"),
        ("p50<1.5s", Quantile(0.5), 1_500 * MS, "ns"),
        ("p99.9 <= 250us", Quantile(0.999), MS / 4, "ns"),
        ("share(rung=large) >= 0.95", Mix("rung", "large"), 0.95, "share"),
        ("share( degraded = none ) > 0.5", Mix("degraded", "none"), 0.5, "share"),
        ("shed_rate <= 0.02", Rate("shed"), 0.02, "share"),
        ("error_rate < 0.1%", Rate("error"), 0.001, "share"),
        ("late_rate <= 1.1%", Rate("late"), 0.011, "share"),
        ("unsent_rate <= .001", Rate("unsent"), 0.001, "share"),
        ("agreement(large) >= 0.98", Agreement("large", None), 0.98, "share"),
        ("agreement(large, rung=small) >= 0.9", Agreement("large", "small"), 0.9, "share"),
        ("accuracy() >= 0.8", Accuracy(None), 0.8, "share"),
        ("accuracy(rung=small) >= 0.8", Accuracy("small"), 0.8, "share"),
        ("rate >= 1k", Throughput(in_time=False), 1_000, "per_s"),
        ("goodput >= 900", Throughput(in_time=True), 900, "per_s"),
        ("recovery(share=0.9) <= 5s", Recovery(0.9, caches=False), 5_000 * MS, "ns"),
        ("recovery() <= 5s", Recovery(0.95, caches=False), 5_000 * MS, "ns"),
        ("time_to_large_rung <= 5s", Recovery(0.95, caches=True), 5_000 * MS, "ns"),
    ],
)
def test_each_metric_is_read_and_written(text: str, metric: Metric, limit: float, unit: str) -> None:
    (condition,) = parse(text)
    assert (condition.metric, condition.limit, unit_of(metric)) == (metric, limit, unit)
    assert parse(show(condition)) == (condition,)


def test_parts_are_joined_by_and_alone() -> None:
    parts = parse("p99 <= 50ms and shed_rate <= 2% and rate >= 900")
    assert [show(part) for part in parts] == ["p99 <= 50ms", "shed_rate <= 0.02", "rate >= 900"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no condition"),
        ("p99", "no condition"),
        ("p99 = 50ms", "no condition"),
        ("p99 <= 50ms or p50 <= 5ms", "no condition"),
        ("p99 <= 50ms and", "no condition"),
        ("p99 <= 50ms, p50 <= 5ms", "no condition"),
        ("(p99 <= 50ms)", "no condition"),
        ("P99 <= 50ms", "no condition"),
        ("latency <= 50ms", "latency is no metric; there are attainment"),
        ("p99(send) <= 50ms", "no metric"),
        ("p100 <= 50ms", "no metric"),
        ("p0 <= 50ms", "no percentile"),
        ("p99 <= 50", "no duration"),
        ("p99 <= 50 parsecs", "no duration"),
        ("p99 >= 50ms", "write p99 <= 50ms"),
        ("attainment >= 0.99", "no metric"),
        ("attainment(50) >= 0.99", "no duration"),
        ("attainment() >= 1", "no number of requests proves"),
        ("error_rate <= 0", "no number of requests proves"),
        ("shed_rate <= 20ms", "no number"),
        ("shed_rate() <= 0.1", "no metric"),
        ("share() >= 0.5", "no metric"),
        ("share(route=cards) >= 0.5", "counts nothing"),
        ("share(rung=huge) >= 0.5", "there are guard, large"),
        ("share(degraded=other) >= 0.5", "there are none, budget"),
        ("agreement() >= 0.9", "no metric"),
        ("agreement(huge) >= 0.9", "'huge' is unknown"),
        ("agreement(large, route=a) >= 0.9", "write rung="),
        ("agreement(large,) >= 0.9", "write rung="),
        ("accuracy(small) >= 0.9", "write rung="),
        ("recovery(share=0) <= 5s", "above 0"),
        ("recovery(0.9) <= 5s", "write share="),
        ("recovery <= 5s", "no metric"),
        ("time_to_large_rung >= 5s", "write time_to_large_rung <= 5s"),
        ("rate(all) >= 9", "no metric"),
    ],
)
def test_what_cannot_be_says_what_can(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(text)
    assert str(error.value).startswith(f"gate {text!r}: ")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("p99.9 <= 50ms", 0.999),
        ("attainment() >= 0.9", 0.9),
        ("shed_rate <= 0.02", 0.98),
        ("rate >= 9", None),
        ("recovery() <= 9s", None),
    ],
)
def test_a_claim_is_about_a_share_or_none(text: str, share: float | None) -> None:
    (condition,) = parse(text)
    assert claimed_share(condition) == share


def test_a_gate_of_the_command_line_may_have_its_confidence() -> None:
    gate = gate_of("p99<=50ms@95%", on="steady")
    assert (gate.expr, gate.on, gate.confidence) == ("p99<=50ms", "steady", 0.95)
    assert gate_of("p99 <= 50ms").confidence == 0.99


@pytest.mark.parametrize("text", ["p99<=50ms@", "p99<=50ms@100%", "p99<=50ms@20%", "p99<=50ms@99%@99%", "p99@99%"])
def test_a_confidence_that_cannot_be(text: str) -> None:
    with pytest.raises(ScenarioError):
        gate_of(text)


def test_operators_say_which_way() -> None:
    assert Condition(Rate("shed"), ">", 0.5).is_at_least
    assert not Condition(Rate("shed"), "<=", 0.5).is_at_least
