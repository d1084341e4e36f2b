"""The search's moves, with a server that is nothing but a number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from loadtest.errors import FAILED, INCONCLUSIVE, INVALID, PASSED, ScenarioError
from loadtest.sample import MAX_REQUESTS
from loadtest.search import CONFIRMATIONS, Bracket, Search, Settings, Step, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

S = 1_000_000_000


def play(server: Callable[[Step], Verdict], **settings: float) -> Bracket:
    """Search to the end."""
    search = Search(Settings(**settings))  # type: ignore[arg-type]
    while (step := search.next()) is not None:
        assert search.next() == step, "asking twice changes nothing"
        search.record(step, server(step))
    return search.result


def up_to(capacity: float) -> Callable[[Step], Verdict]:
    return lambda step: "pass" if step.rate <= capacity else "fail"


def rates(found: Bracket, kind: str) -> list[float]:
    return [each.step.rate for each in found.steps if each.step.kind == kind]


def test_grows_bisects_and_confirms() -> None:
    found = play(up_to(1_000))
    assert rates(found, "grow") == [100, 200, 400, 800, 1_600]
    assert rates(found, "bisect") == pytest.approx([1_131.4, 951.37, 1_037.5, 993.5], rel=1e-4)
    assert rates(found, "confirm") == [found.highest_pass]
    assert (found.highest_pass, found.lowest_fail) == pytest.approx((993.5, 1_037.5), rel=1e-4)
    assert (found.confirmed, found.exit_code) == (True, PASSED)


def test_says_at_least_where_the_highest_rate_passes() -> None:
    found = play(up_to(math.inf), lowest=100, highest=300)
    assert rates(found, "grow") == [100, 200, 300]
    assert (found.highest_pass, found.lowest_fail, found.confirmed) == (300, None, True)
    assert found.exit_code == PASSED


@pytest.mark.parametrize(("verdict", "code"), [("fail", FAILED), ("inconclusive", INCONCLUSIVE), ("invalid", INVALID)])
def test_gives_up_where_the_lowest_rate_does_not_pass(verdict: Verdict, code: int) -> None:
    found = play(lambda _: verdict)
    assert found.highest_pass is None
    assert found.exit_code == code
    assert {each.step.rate for each in found.steps} == {100}


def test_repeats_what_proves_nothing_for_twice_as_long() -> None:
    found = play(lambda step: "inconclusive" if step.look < 3 else up_to(150)(step))
    first = [each.step for each in found.steps if each.step.rate == 100][:3]
    assert [(step.look, step.for_ns / S) for step in first] == [
        (1, 21),
        (2, 42),
        (3, 84),
    ]  # 2,010 requests, in whole seconds
    assert len({each.step.seed for each in found.steps}) == len(found.steps)


def test_brackets_what_it_cannot_decide() -> None:
    def server(step: Step) -> Verdict:
        return "inconclusive" if 980 < step.rate < 1_020 and step.kind != "confirm" else up_to(1_000)(step)

    found = play(server, lowest=250)  # 250, 500, 1000: the third is undecided
    assert found.undecided == (1_000,)
    assert found.highest_pass == pytest.approx(1_000 / 1.05, rel=1e-4)
    assert found.lowest_fail == pytest.approx(1_000 * 1.05, rel=1e-4)
    assert found.exit_code == PASSED


def test_asks_an_invalid_step_once_more() -> None:
    strange: list[Step] = []

    def server(step: Step) -> Verdict:
        if step.rate == 400 and not strange:
            strange.append(step)
            return "invalid"
        return up_to(1_000)(step)

    found = play(server)
    assert found.invalid_from is None
    assert found.exit_code == PASSED


def test_stays_below_the_generators_limit() -> None:
    found = play(lambda step: "invalid" if step.rate > 700 else "pass")
    assert found.invalid_from is not None
    assert 700 < found.invalid_from <= 735
    assert found.lowest_fail is None
    assert (found.confirmed, found.exit_code) == (True, INVALID)


def test_a_server_that_fails_below_the_generators_limit_is_no_matter_of_the_generator() -> None:
    found = play(lambda step: "invalid" if step.rate > 1_500 else up_to(1_000)(step))
    assert found.exit_code == PASSED


def test_steps_down_while_the_confirmation_fails() -> None:
    found = play(lambda step: up_to(960 if step.kind == "confirm" else 1_000)(step))
    assert rates(found, "confirm") == pytest.approx([993.49, 973.62, 954.15], rel=1e-4)
    assert found.highest_pass == pytest.approx(954.15, rel=1e-4)
    assert found.lowest_fail == pytest.approx(973.62, rel=1e-4)


def test_the_confirmed_rate_counts_not_one_that_only_passed_a_shorter_step() -> None:
    def server(step: Step) -> Verdict:
        return "inconclusive" if step.kind == "confirm" and step.rate > 960 else up_to(1_000)(step)

    found = play(server)
    assert found.confirmed
    assert found.highest_pass == pytest.approx(954.15, rel=1e-4)
    assert found.lowest_fail == 1_037.5


def test_stops_confirming_some_day() -> None:
    found = play(lambda step: "fail" if step.kind == "confirm" else up_to(1_000)(step))
    assert len(rates(found, "confirm")) == CONFIRMATIONS
    assert (found.confirmed, found.exit_code) == (False, INCONCLUSIVE)


def test_a_step_never_has_more_requests_than_a_run_may() -> None:
    search = Search(Settings(lowest=50_000, confirm_ns=3_600 * S, step_ns=3_600 * S))
    step = search.next()
    assert step is not None
    assert step.rate * step.for_ns / S < MAX_REQUESTS


def test_slow_rates_take_as_long_as_their_proof() -> None:
    step = Search(Settings(lowest=10, requests=2_010)).next()
    assert step is not None
    assert step.for_ns == 201 * S


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lowest": 0.0}, "--from"),
        ({"lowest": 200.0, "highest": 100.0}, "--to"),
        ({"precision": 0.0}, "--precision"),
        ({"step_ns": 1}, "--step"),
        ({"confirm_ns": 3_601 * S}, "--confirm"),
    ],
)
def test_says_which_setting_cannot_be(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ScenarioError, match=named):
        Settings(**settings)  # type: ignore[arg-type]
