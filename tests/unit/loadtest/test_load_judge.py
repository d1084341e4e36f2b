from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadtest.errors import ScenarioError
from loadtest.gate.judge import GateResult, judge, overall
from loadtest.payload import Payload
from loadtest.run import PhaseRecord, Repeat, Run, open_run
from loadtest.sample import NEVER
from loadtest.scenario.spec import GateSpec
from loadtest.view import view
from tests.fabricated import MS, S, fabricate

FAST, SLOW = 5 * MS, 80 * MS


def verdict(run: Run, expr: str, *, on: str = "all", confidence: float = 0.99) -> GateResult:
    gates = [GateSpec(expr=expr, on=on, confidence=confidence)]
    (result,) = judge(view(run), gates, payloads=run.payloads)
    return result


def latencies(n: int, misses: int, miss: int = SLOW) -> np.ndarray:
    """Misses far from each other."""
    found = np.full(n, FAST)
    if misses:
        found[np.arange(misses) * n // misses] = miss
    return found


@pytest.mark.parametrize(
    ("n", "misses", "expected"),
    [
        (458, 0, "inconclusive"),
        (459, 0, "pass"),
        (661, 1, "inconclusive"),
        (662, 1, "pass"),
        (5_000, 33, "pass"),
        (5_000, 34, "inconclusive"),
        (5_000, 66, "inconclusive"),
        (5_000, 70, "fail"),
    ],
)
@pytest.mark.parametrize("expr", ["p99 <= 50ms", "attainment(50ms) >= 0.99", "attainment() >= 99%", "late_rate <= 1%"])
def test_early_stopping_decides(tmp_path: Path, n: int, misses: int, expected: str, expr: str) -> None:
    result = verdict(fabricate(tmp_path, latencies(n, misses)), expr)
    assert (result.verdict, result.n, result.misses) == (expected, n, misses)
    assert result.n_eff == pytest.approx(n)


def test_a_quantile_is_told_with_its_order_statistics(tmp_path: Path) -> None:
    run = fabricate(tmp_path, np.random.default_rng(1).permutation(2_000) * MS // 10)
    result = verdict(run, "p90 <= 185ms")
    assert (result.gate, result.unit, result.verdict) == ("p90 <= 185ms", "ns", "pass")
    assert result.value == 179_900_000
    assert result.low is not None
    assert result.high is not None
    assert 175 * MS < result.low < result.value < result.high < 185 * MS


@pytest.mark.parametrize("limit_ms", range(170, 192, 3))
@pytest.mark.parametrize("expr", ["p90 <= {}ms", "attainment({}ms) >= 0.9"])
def test_it_passes_if_and_only_if_the_limit_is_outside_the_interval(tmp_path: Path, limit_ms: int, expr: str) -> None:
    run = fabricate(tmp_path, np.random.default_rng(1).permutation(2_000) * MS // 10)
    result = verdict(run, expr.format(limit_ms))
    assert result.low is not None
    assert result.high is not None
    better, worse = result.high <= result.limit, result.low > result.limit
    if result.unit == "share":
        better, worse = result.low >= result.limit, result.high < result.limit
    assert result.verdict == ("pass" if better else "fail" if worse else "inconclusive")


def test_who_got_no_answer_has_an_infinite_latency(tmp_path: Path) -> None:
    result = verdict(fabricate(tmp_path, latencies(1_000, 30, NEVER)), "p99 <= 9s")
    assert (result.verdict, result.value, result.high) == ("fail", math.inf, math.inf)
    read = msgspec.json.decode(msgspec.json.encode(result), type=GateResult)
    assert (read.value, read.misses) == (None, 30)


def test_bursts_are_worth_less(tmp_path: Path) -> None:
    slow = latencies(20_000, 0)
    slow[np.add.outer(np.arange(6) * 3_000 + 500, np.arange(20)).ravel()] = SLOW
    result = verdict(fabricate(tmp_path / "bursts", slow), "p99 <= 50ms")
    assert verdict(fabricate(tmp_path / "apart", latencies(20_000, 120)), "p99 <= 50ms").verdict == "pass"
    assert result.verdict == "inconclusive"
    assert result.high == SLOW
    assert result.n_eff is not None
    assert result.n_eff < 20_000 / 20
    assert result.needed is not None
    assert result.needed > 20_000
    assert "are worth" in result.why


def test_bursts_as_long_as_the_run_let_nothing_pass(tmp_path: Path) -> None:
    slow = np.where(np.arange(20_000) < 10_000, SLOW, FAST)
    result = verdict(fabricate(tmp_path, slow), "attainment(50ms) >= 0.02", confidence=0.9)
    assert result.verdict == "inconclusive"
    assert "bursts too long" in result.why


def test_a_server_that_breaks_down_halfway_fails(tmp_path: Path) -> None:
    status = np.where(np.arange(2_000) < 1_000, 200, 500)
    run = fabricate(tmp_path, latencies(2_000, 0), status=status)
    assert verdict(run, "error_rate <= 1%").verdict == "fail"
    assert verdict(run, "p99 <= 50ms").verdict == "fail"


def test_looks_share_the_confidence(tmp_path: Path) -> None:
    run = fabricate(tmp_path / "looks", latencies(459, 0), looks=3)
    assert verdict(run, "p99 <= 50ms").verdict == "inconclusive"
    assert verdict(run, "p99 <= 50ms").needed == 568  # ln(0.01 / 3) / ln(0.99) = 567.5
    once = fabricate(tmp_path / "once", latencies(459, 0))
    assert verdict(once, "p99 <= 50ms", confidence=0.95).needed == 299


def test_rates_are_of_all_that_was_scheduled(tmp_path: Path) -> None:
    status = np.full(1_000, 200)
    status[::10], status[1::20], status[3::50] = 503, 500, 0
    latency = np.where(status == 0, NEVER, FAST)
    run = fabricate(tmp_path, latency, status=status)
    assert verdict(run, "shed_rate <= 0.2").value == 0.1
    assert verdict(run, "error_rate <= 0.2").value == 0.05
    assert verdict(run, "unsent_rate <= 0.2").value == pytest.approx(0.02)
    assert verdict(run, "shed_rate >= 0.05").verdict == "pass"
    assert verdict(run, "shed_rate >= 0.2").verdict == "fail"
    assert verdict(run, "shed_rate < 0.05").verdict == "fail"


def test_shares_are_of_what_was_answered(tmp_path: Path) -> None:
    at = np.arange(1_000)
    rung = np.where(at % 5 == 0, "small", "large")
    degraded = np.where(at % 5 == 0, "budget", "none")
    run = fabricate(tmp_path, latencies(1_000, 0), rung=rung, degraded=degraded, status=np.where(at % 2, 200, 503))
    result = verdict(run, "share(rung=large) >= 0.75")
    assert (result.n, result.value, result.verdict) == (500, 0.8, "pass")
    assert verdict(run, "share(degraded=budget) <= 0.3").verdict == "pass"


def test_numbers_that_are_as_they_are(tmp_path: Path) -> None:
    run = fabricate(
        tmp_path,
        latencies(1_000, 100),
        phases=(PhaseRecord(name="steady", start_ns=0, end_ns=10 * S, measure=True),),
    )
    assert verdict(run, "rate >= 100").verdict == "pass"
    result = verdict(run, "goodput >= 91")
    assert (result.value, result.verdict, result.unit, result.n_eff) == (90, "fail", "per_s", None)
    assert verdict(run, "rate <= 99.9").verdict == "fail"
    assert verdict(run, "recovery() <= 5s").value == 0
    assert verdict(run, "time_to_large_rung <= 5s").verdict == "pass"


def asked_again(rung: str, total: int, agreed: int, first: int) -> list[Repeat]:
    return [
        Repeat(row=first + at, rung=rung, route="a", reference="a", reference_rung="large", same=at < agreed)
        for at in range(total)
    ]


def test_agreement_is_weighted_back_to_the_mix_of_the_run(tmp_path: Path) -> None:
    """900 answers of `small`, all of them right, and 100 of `rules`, half of them: 100 of each were asked for again."""
    rungs, degraded = ["small"] * 900 + ["rules"] * 100, "overload"
    repeats = (*asked_again("small", 100, 100, 0), *asked_again("rules", 100, 50, 900))
    run = fabricate(tmp_path, latencies(1000, 0), rung=rungs, degraded=degraded, repeats=repeats)
    found = verdict(run, "agreement(large) >= 0.9")
    assert found.value == pytest.approx(0.95)
    assert (found.verdict, found.n) == ("pass", 200)
    assert verdict(run, "agreement(large) >= 0.99").verdict == "fail"
    assert verdict(run, "agreement(large) >= 0.94").verdict == "inconclusive"
    assert verdict(run, "agreement(large, rung=rules) >= 0.7").verdict == "fail"
    assert verdict(run, "agreement(large, rung=rules) <= 0.7").verdict == "pass"
    assert verdict(run, "agreement(rules) >= 0.9").verdict == "inconclusive"


def test_a_limit_that_is_true_is_seldom_refuted_by_few_repeats(tmp_path: Path) -> None:
    """999 of 1,000 agree, 200 are asked again: one that differs is no proof against 99.9 %, nor are two."""
    run = fabricate(
        tmp_path,
        latencies(1_000, 0),
        rung="small",
        degraded="overload",
        repeats=tuple(asked_again("small", 200, 198, 0)),
    )
    assert verdict(run, "agreement(large) >= 0.999").verdict == "inconclusive"


def test_who_tells_no_rung_agrees_with_nobody(tmp_path: Path) -> None:
    untold = fabricate(tmp_path / "any", latencies(10, 0), rung="", degraded="")
    refused = fabricate(tmp_path / "refused", latencies(10, 0), status=503)
    for run in (untold, refused):
        assert verdict(run, "agreement(large) >= 0.9").verdict == "inconclusive"


def test_a_recovery_says_how_long_it_took_or_that_there_was_none(tmp_path: Path) -> None:
    back = fabricate(tmp_path / "back", latencies(1_000, 0), rung=["small"] * 300 + ["large"] * 700)
    assert "from 3.00 s on" in verdict(back, "recovery() <= 1s").why
    gone = fabricate(tmp_path / "gone", latencies(1_000, 0), rung="small")
    assert verdict(gone, "recovery() <= 1s").why.startswith("it never came back to 95 %")


def test_a_proof_from_a_few_seconds_says_so(tmp_path: Path) -> None:
    """459 requests without a miss prove a p99, in half a second too: of a stall every ten seconds they cannot tell."""
    short = verdict(fabricate(tmp_path / "short", latencies(500, 0), rate=1_000), "p99 <= 50ms")
    assert (short.verdict, short.why.endswith("rarer stalls are not ruled out")) == ("pass", True)
    long = verdict(fabricate(tmp_path / "long", latencies(500, 0), rate=10), "p99 <= 50ms")
    assert (long.verdict, "not ruled out" in long.why) == ("pass", False)


def test_where_no_answer_was_degraded_all_agree(tmp_path: Path) -> None:
    assert verdict(fabricate(tmp_path / "full", latencies(10, 0)), "agreement(large) >= 0.9").verdict == "pass"
    unknown = fabricate(tmp_path / "unknown", latencies(10, 0), rung="small", degraded="budget")
    assert verdict(unknown, "agreement(large) >= 0.9").verdict == "inconclusive"


def test_accuracy_is_of_answers_with_a_label(tmp_path: Path) -> None:
    run = fabricate(tmp_path, latencies(40, 0), labels=("cards", "loans", None, "cards"), rung=["large", "small"] * 20)
    payloads = (Payload({}, "cards"), Payload({}, "cards"), Payload({}, None), Payload({}, "nobody"))
    gates = [GateSpec(expr="accuracy() >= 0.9"), GateSpec(expr="accuracy(rung=large) >= 0.5")]
    every, large = judge(view(run), gates, payloads=payloads)
    assert (every.n, every.misses, every.verdict) == (30, 20, "fail")
    assert (large.n, large.value) == (10, 1)
    assert judge(view(run), gates)[0].verdict == "inconclusive"


def test_who_is_not_read_is_neither_right_nor_wrong_and_of_no_rung(tmp_path: Path) -> None:
    run = fabricate(tmp_path, latencies(1_000, 0), rung="", degraded="")
    run = open_run(run.path, writable=True)
    run.samples["route"] = NEVER
    for expr in ("accuracy() >= 0.9", "share(rung=large) >= 0.9", "share(degraded=none) >= 0.9"):
        assert (verdict(run, expr).verdict, verdict(run, expr).n) == ("inconclusive", 0)


def test_who_got_no_answer_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    run = fabricate(tmp_path, latencies(100, 0), status=np.where(np.arange(100) % 4, 200, 503))
    assert verdict(run, "accuracy() >= 0.9").n == 75


def test_a_gate_is_on_its_phase_and_warm_up_is_on_none(tmp_path: Path) -> None:
    run = fabricate(
        tmp_path,
        np.where(np.arange(3_000) < 1_000, SLOW, FAST),
        phase=np.arange(3_000) // 1_000,
        phases=tuple(
            PhaseRecord(name=name, start_ns=at * 10 * S, end_ns=(at + 1) * 10 * S, measure=at > 0)
            for at, name in enumerate(("warm", "steady", "flash"))
        ),
    )
    assert verdict(run, "p99 <= 50ms").n == 2_000
    assert verdict(run, "p99 <= 50ms", on="warm").verdict == "fail"
    assert verdict(run, "rate >= 100", on="flash").value == 100
    with pytest.raises(ScenarioError, match="no phase"):
        verdict(run, "p99 <= 50ms", on="peak")


def test_each_condition_has_its_result(tmp_path: Path) -> None:
    run = fabricate(tmp_path, latencies(1_000, 0))
    gates = [GateSpec(expr="p99 <= 50ms and shed_rate <= 2%"), GateSpec(expr="p50 <= 1ms")]
    results = judge(view(run), gates)
    assert [result.gate for result in results] == ["p99 <= 50ms", "shed_rate <= 0.02", "p50 <= 1ms"]
    assert [result.verdict for result in results] == ["pass", "pass", "fail"]
    assert overall(results) == "fail"


def test_nothing_counts_in_an_empty_run(tmp_path: Path) -> None:
    run = fabricate(tmp_path, [])
    for expr in ("p99 <= 50ms", "shed_rate <= 0.1", "share(rung=large) >= 0.5", "rate >= 1", "recovery() <= 1s"):
        assert verdict(run, expr).verdict == "inconclusive"


def test_one_that_fails_fails_all_and_one_that_is_open_leaves_all_open(tmp_path: Path) -> None:
    run = fabricate(tmp_path, latencies(500, 0))
    passed, failed, unknown = (verdict(run, expr) for expr in ("p99 <= 50ms", "p99 <= 1ms", "p99.9 <= 50ms"))
    assert overall([]) == overall([passed]) == "pass"
    assert overall([passed, failed, unknown]) == "fail"
    assert overall([passed, unknown]) == "inconclusive"
