"""What we measured against what is known: the join, the judgement, the search for the highest valid rate."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from scipy import stats

from loadtest import health
from loadtest.calibrate import Joined, baseline_ns, distance, join, judge, judge_stall
from loadtest.command import calibrate as command
from loadtest.echo.truth import TRUTH
from loadtest.errors import ScenarioError
from loadtest.quantity import MS, US, S
from loadtest.sample import NEVER
from loadtest.view import view
from tests.fabricated import fabricate

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.health import Validity


def books(rows: list[int], took_ns: list[int]) -> np.ndarray:
    truth = np.zeros(len(rows), TRUTH)
    truth["row"], truth["received_ns"] = rows, 5 * S
    truth["answered_ns"] = 5 * S + np.array(took_ns)
    return truth


def valid(path: Path) -> Validity:
    run = fabricate(path / "valid", np.full(1_000, MS))
    return health.check(run, view(run))


def test_rows_are_joined_whatever_the_order_of_the_answers(tmp_path: Path) -> None:
    seen = view(fabricate(tmp_path / "run", [11, 12, 13, 14])).on("all")
    joined = join(seen, books([2, 0, 3, 1], [3, 1, 4, 2]))
    assert joined.client_ns.tolist() == [11, 12, 13, 14]
    assert joined.server_ns.tolist() == [1, 2, 3, 4]
    assert (joined.lost, baseline_ns(joined)) == (0, 10)


def test_what_one_side_alone_knows_is_lost(tmp_path: Path) -> None:
    seen = view(fabricate(tmp_path / "run", [11, NEVER, 13, 14], status=[200, 200, 500, 200])).on("all")
    joined = join(seen, books([0, 1, 2, -1, 77], [1, 2, 3, 4, 5]))
    assert (joined.client_ns.tolist(), joined.server_ns.tolist(), joined.lost) == ([11], [1], 3)


def test_of_nothing_nothing_is_joined(tmp_path: Path) -> None:
    seen = view(fabricate(tmp_path / "run", [1])).on("all")
    assert join(seen, books([], [])).lost == 1
    assert join(seen.where(seen.row < 0), books([0], [1])).lost == 0


def _joined(error_ns: float, tail_ns: float = 0.0) -> Joined:
    """A lognormal server, 0.1 ms away, and a client that is wrong by so much: everywhere, and in its slowest 2 %."""
    server_ns = np.random.default_rng(1).lognormal(np.log(20 * MS), 0.5, 20_000)
    client_ns = server_ns + 100 * US + error_ns + np.where(server_ns > np.quantile(server_ns, 0.98), tail_ns, 0)
    return Joined(client_ns.astype(np.int64), server_ns.astype(np.int64), 0)


@pytest.mark.parametrize(
    ("error_ns", "tail_ns", "accurate"),
    [(0, 0, True), (0.29 * MS, 0, True), (0.31 * MS, 0, False), (-0.31 * MS, 0, False), (0, 2 * MS, False)],
)
def test_quantiles_are_held_against_the_truth(error_ns: float, tail_ns: float, accurate: bool, tmp_path: Path) -> None:
    found = judge("lognormal(20ms, 0.5)", 500.0, _joined(error_ns, tail_ns), 100 * US, valid(tmp_path))
    assert found.accurate == accurate
    assert found.p50_error_ns == pytest.approx(error_ns, abs=2)
    assert found.p99_error_ns == pytest.approx(error_ns + tail_ns, abs=2)


def test_lost_requests_are_not_accurate(tmp_path: Path) -> None:
    joined = _joined(0)
    assert not judge("", 1.0, Joined(joined.client_ns, joined.server_ns, 1), 100 * US, valid(tmp_path)).accurate


def _stalled(path: Path, *, omits: bool) -> Any:
    """A server that is frozen for 2 s of 60 s under 100/s, as a true tool sees it, or one that does not send then."""
    at_ns = np.arange(6_000) * 10 * MS
    waits_ns = np.where((at_ns >= 10 * S) & (at_ns < 12 * S), 12 * S - at_ns, 0)
    if omits:
        waits_ns[waits_ns < 2 * S] = 0
    return view(fabricate(path / "run", waits_ns + 100 * US)).on("all")


def test_a_freeze_has_a_closed_form_and_omission_is_found_out(tmp_path: Path) -> None:
    true, omitting = (
        judge_stall(100.0, _stalled(tmp_path / str(omits), omits=omits), 2 * S, 60 * S, 100 * US, fine)
        for fine in [valid(tmp_path)]
        for omits in (False, True)
    )
    assert true.p99_ns == pytest.approx(1.4 * S, rel=0.01)
    assert true.accurate
    assert not omitting.accurate


def test_distance_is_kolmogorovs() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, 500), rng.normal(0.2, 1.3, 700)
    assert distance(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic, abs=1e-12)
    assert distance(one, one) == 0


def test_distance_takes_close_times_as_the_same() -> None:
    ones = np.full(100, 5 * MS)
    assert distance(ones, ones + 50 * US) == 1
    assert distance(ones, ones + 50 * US, 100 * US) == 0
    assert distance(ones, ones + 150 * US, 100 * US) == 1
    assert distance(ones, np.concatenate([ones[:90], ones[:10] + MS]), 100 * US) == pytest.approx(0.1)
    assert np.isnan(distance(ones, ones[:0]))


@pytest.mark.parametrize(("limit", "highest", "above"), [(400, 0, 500), (1_400, 1_250, 1_500), (9e9, 64_000, None)])
def test_the_highest_valid_rate_is_found_to_an_eighth(
    limit: float, highest: float, above: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_is_valid", lambda _, rate: rate <= limit)
    assert command._highest_valid(cast("Any", None)) == (highest, above)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"target_latency": ["const:5 apples"]}, "--target-latency: 'const:5 apples'"),
        ({"target_latency": ["trimodal"]}, "bimodal, lognormal, stall"),
        ({"rate": ["0"]}, "--rate: 0"),
        ({"rate": ["65k"]}, "--rate: 65k"),
        ({"duration": "1s"}, "--duration: 1s"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_measured(argument: dict[str, Any], message: str) -> None:
    usual = {"target_latency": [], "rate": [], "duration": "10s", "engine": "raw", "pin": (), "pin_echo": (), "json": 0}
    with pytest.raises(ScenarioError) as raised:
        command.run(Namespace(**{**usual, **argument}))
    assert message in str(raised.value)
