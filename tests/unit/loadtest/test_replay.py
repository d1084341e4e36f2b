"""loadtest.quality.replay: asked again at zero load, in virtual time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest.answer import Answer
from loadtest.engine.inproc import TargetRefused
from loadtest.errors import Unreachable
from loadtest.quality import replay as module
from loadtest.quality.replay import best_rung, replay
from loadtest.quantity import MS, Ns, S
from loadtest.run import open_run
from loadtest.sample import NEVER
from loadtest.scenario.spec import QualitySpec
from tests.fabricated import fabricate, scenario
from tests.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadtest.run import Repeat, Run

TEXTS = ("text 0", "text 1")
FULL, WORSE = Answer("large", "none", "cards"), Answer("rules", "overload", "cards")


class Server:
    """Answers as a function of the virtual time and the text says; writes down what it was asked, and when."""

    def __init__(self, loop: VirtualLoop, answer: Callable[[float, str], Answer | Exception]) -> None:
        self._loop, self._answer = loop, answer
        self.asked: list[tuple[float, dict[str, str], int]] = []

    async def ask(self, body: bytes, budget_ns: int) -> Answer:
        now_s = self._loop.time()
        self.asked.append((now_s, json.loads(body), budget_ns))
        found = self._answer(now_s, self.asked[-1][1]["text"])
        if isinstance(found, Exception):
            raise found
        return found


def degraded_run(path: Path, count: int = 4, most: int = 100) -> Run:
    """Every answer came from `small`, degraded; `cards` and `loans` in turn."""
    of = scenario(quality=QualitySpec(replay=most, budget=Ns(700 * MS)))
    return fabricate(path, np.full(count, MS), rung="small", degraded="budget", of=of)


def play(made: Run, answer: Callable[[float, str], Answer | Exception]) -> tuple[tuple[Repeat, ...], Server]:
    async def main(loop: VirtualLoop) -> tuple[tuple[Repeat, ...], Server]:
        server = Server(loop, answer)
        return await replay(made, server.ask), server

    return run(main)


def test_the_same_request_is_asked_with_the_budget_of_quality_and_its_route_compared(tmp_path: Path) -> None:
    repeats, server = play(degraded_run(tmp_path), lambda _at, _text: FULL)
    assert [(each.row, each.rung, each.route, each.reference, each.same) for each in repeats] == [
        (0, "small", "cards", "cards", True),
        (1, "small", "loans", "cards", False),
        (2, "small", "cards", "cards", True),
        (3, "small", "loans", "cards", False),
    ]
    assert sorted(fields["text"] for _, fields, _ in server.asked[1:]) == ["text 0", "text 0", "text 1", "text 1"]
    assert {budget_ns for _, _, budget_ns in server.asked} == {700 * MS}


def test_it_waits_until_the_server_answers_in_full_again(tmp_path: Path) -> None:
    repeats, server = play(degraded_run(tmp_path), lambda at, _text: FULL if at >= 3 else WORSE)
    assert all(each.same is not None for each in repeats)
    first = next(at for at, fields, _ in server.asked if fields["text"] in TEXTS)
    assert 3 <= first < 3.5


def test_a_fresh_text_tells_whether_the_server_is_well_not_its_cache(tmp_path: Path) -> None:
    cached = Answer("cache", "none", "cards")
    repeats, server = play(degraded_run(tmp_path), lambda at, _text: FULL if at >= 2 else cached)
    assert len({fields["text"] for at, fields, _ in server.asked if at < 2}) > 3
    assert all(each.same is not None for each in repeats)


def test_what_the_cache_says_is_what_the_best_rung_said(tmp_path: Path) -> None:
    cached = Answer("cache", "none", "cards")
    repeats, _ = play(degraded_run(tmp_path), lambda _at, text: cached if text == "text 0" else FULL)
    assert {each.reference_rung for each in repeats} == {"large"}


def test_where_small_is_the_best_there_is_it_is_the_reference(tmp_path: Path) -> None:
    small = Answer("small", "none", "cards")
    repeats, _ = play(degraded_run(tmp_path / "a"), lambda _at, _text: small)
    assert [(each.reference_rung, each.same is None) for each in repeats] == [("small", False)] * 4
    repeats, _ = play(degraded_run(tmp_path / "b"), lambda _at, text: small if text == "text 0" else FULL)
    assert [each.same is None for each in repeats] == [True, False] * 2


def test_a_server_that_stays_degraded_is_no_reference(tmp_path: Path) -> None:
    repeats, server = play(degraded_run(tmp_path), lambda _at, _text: WORSE)
    assert [each.same for each in repeats] == [None] * 4
    assert all(fields["text"] not in TEXTS for _, fields, _ in server.asked)
    assert server.asked[-1][0] == pytest.approx(module.RECOVERY_S, abs=0.5)


@pytest.mark.parametrize("bad", [WORSE, TargetRefused(503), Answer("guard", "none", "cards")])
def test_one_that_cannot_be_had_in_full_has_no_reference(tmp_path: Path, bad: Answer | Exception) -> None:
    repeats, server = play(degraded_run(tmp_path), lambda _at, text: bad if text == "text 1" else FULL)
    assert [each.same for each in repeats] == [True, None, True, None]
    assert sum(fields["text"] == "text 1" for _, fields, _ in server.asked) == 6  # three times each


def test_an_answer_whose_route_is_lost_cannot_be_compared(tmp_path: Path) -> None:
    """Its generator was killed, and with it the names of the routes that it had learned."""
    made = open_run(degraded_run(tmp_path).path, writable=True)
    made.samples["route"][1] = NEVER
    repeats, _ = play(made, lambda _at, _text: FULL)
    assert [each.same for each in repeats] == [True, None, True, False]


def test_a_server_that_is_gone_is_not_asked_for_each(tmp_path: Path) -> None:
    answers: Iterator[Answer | Exception] = iter([FULL, FULL, FULL, Unreachable("nobody listens")])
    repeats, server = play(degraded_run(tmp_path, 100), lambda _at, _text: next(answers))
    assert sum(each.same is None for each in repeats) == 98
    assert len(server.asked) == 4


def test_all_of_it_is_bounded(tmp_path: Path) -> None:
    made = degraded_run(tmp_path, 3_000, 5_000)
    repeats, server = play(made, lambda _at, text: WORSE if text in TEXTS else FULL)
    assert [each.row for each in repeats] == list(range(3_000))
    assert server.asked[-1][0] <= module.REPLAY_S + 1


def test_nothing_degraded_asks_nothing(tmp_path: Path) -> None:
    made = fabricate(tmp_path, np.full(4, MS), of=scenario(quality=QualitySpec(replay=10)))
    assert play(made, lambda _at, _text: FULL)[0] == ()


def test_recovery_is_given_up_in_time() -> None:
    async def main(loop: VirtualLoop) -> float:
        server = Server(loop, lambda _at, _text: Unreachable("nobody listens"))
        assert await best_rung(server.ask, {"text": "hello"}, S, 1, within_s=2.0) is None
        return loop.time()

    assert run(main) == pytest.approx(2.0, abs=0.3)
