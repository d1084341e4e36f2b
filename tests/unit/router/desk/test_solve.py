"""Matching: what comes before what, against all matchings there are."""

from __future__ import annotations

from itertools import combinations, permutations
from math import inf, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.desk.solve import Matched, Problem, age_class, load, solve, value_of
from tests.greedy_pairs import solve_greedily

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

load()  # half a second, which no example shall pay


def problem_of(scores: Sequence[Sequence[float]], **given_: Any) -> Problem:
    matrix = np.array(scores, float)
    tasks, resources = matrix.shape
    facts: dict[str, Any] = {
        "allowed": np.ones(matrix.shape, bool), "urgency_s": np.zeros(tasks), "age_s": np.zeros(tasks),
        "idle_s": np.zeros(resources),
    }  # fmt: skip
    facts |= {name: np.array(value) if isinstance(value, list) else value for name, value in given_.items()}
    return Problem(matrix, **facts)


def matchings(allowed: NDArray[np.bool_]) -> Iterator[Matched]:
    """All of them, the partial ones too."""
    tasks, resources = allowed.shape
    for size in range(min(tasks, resources) + 1):
        for chosen in combinations(range(tasks), size):
            for partners in permutations(range(resources), size):
                if all(allowed[i, j] for i, j in zip(chosen, partners, strict=True)):
                    yield list(zip(chosen, partners, strict=True))


def merit(problem: Problem, pairs: Matched) -> tuple[int, int, float]:
    """What counts first, second and third."""
    value, classes = value_of(problem), age_class(problem.age_s, problem.max_overtake_s)
    return len(pairs), sum(int(classes[i]) for i, _ in pairs), sum(float(value[i, j]) for i, j in pairs)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    tasks, resources = draw(st.integers(1, 4)), draw(st.integers(1, 4))

    def floats(count: int, most: float) -> list[float]:
        return draw(st.lists(st.floats(0, most), min_size=count, max_size=count))

    score = st.floats(-5, 5) | st.sampled_from([nan, inf, -inf, 1e300])
    rows = [draw(st.lists(score, min_size=resources, max_size=resources)) for _ in range(tasks)]
    allowed = [draw(st.lists(st.booleans(), min_size=resources, max_size=resources)) for _ in range(tasks)]
    return problem_of(
        rows, allowed=allowed, urgency_s=floats(tasks, 600), age_s=floats(tasks, 200), idle_s=floats(resources, 900),
        urgency_share=draw(st.floats(0, 2)), fairness_share=draw(st.floats(0, 2)),
        max_overtake_s=draw(st.sampled_from([0.0, 30.0, 60.0, inf])),
    )  # fmt: skip


@given(problems())
def test_the_best_of_all_matchings(problem: Problem) -> None:
    pairs = solve(problem)
    best = max(merit(problem, each) for each in matchings(problem.allowed))
    assert merit(problem, pairs)[:2] == best[:2]
    assert merit(problem, pairs)[2] == pytest.approx(best[2], abs=1e-6)


@given(problems())
def test_everybody_at_most_once_and_only_where_allowed(problem: Problem) -> None:
    for pairs in (solve(problem), solve_greedily(problem)):
        assert all(problem.allowed[i, j] for i, j in pairs)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


@given(problems())
def test_no_worse_than_greedy(problem: Problem) -> None:
    count, classes, value = merit(problem, solve_greedily(problem))
    assert merit(problem, solve(problem)) >= (count, classes, value - 1e-6)


@given(problems())
def test_nobody_is_left_out_for_one_who_is_too_much_younger(problem: Problem) -> None:
    """Whether by a plain change of partners or by a chain of them."""
    taken = {i for i, _ in solve(problem)}
    possible = {frozenset(i for i, _ in each) for each in matchings(problem.allowed)}
    for old in set(range(len(problem.age_s))) - taken:
        for young in taken:
            if problem.age_s[old] - problem.age_s[young] > problem.max_overtake_s:
                assert frozenset(taken - {young} | {old}) not in possible


def test_score_decides_among_tasks_of_about_the_same_age() -> None:
    assert solve(problem_of([[0.1], [0.9]], age_s=[50.0, 0.0], max_overtake_s=60.0)) == [(1, 0)]
    assert solve(problem_of([[0.1], [0.9]], age_s=[61.0, 0.0], max_overtake_s=60.0)) == [(0, 0)]


def test_as_many_as_possible_before_as_good_as_possible() -> None:
    problem = problem_of([[100.0, -3.0], [-2.0, 0.0]], allowed=[[True, True], [True, False]])
    assert solve(problem) == [(0, 1), (1, 0)]


def test_urgency_and_idleness_weigh_in_proportion() -> None:
    half = problem_of([[0.0], [0.0], [0.4]], urgency_s=[0.0, 300.0, 150.0], urgency_share=0.5)
    assert value_of(half).tolist() == [[0.0], [0.5], [0.65]]
    idle = problem_of([[0.3, 0.2, 0.0]], idle_s=[10.0, 30.0, 30.0], fairness_share=0.2)
    assert solve(idle) == [(0, 1)]


def test_scores_that_are_no_numbers_count_nothing() -> None:
    assert solve(problem_of([[nan, 0.1], [inf, -inf]])) == [(0, 1), (1, 0)]


def test_scores_of_any_size_are_solved() -> None:
    tiny = problem_of([[4.0, 1e-308], [0.0, 3e-308]], allowed=[[False, True], [True, True]])
    assert solve(tiny) == [(0, 1), (1, 0)]
    assert solve(problem_of([[1e300, -1e300], [0.1, 0.2]])) == [(0, 0), (1, 1)], "as if they were 0"
    assert solve(problem_of([[1e99, -1e99], [0.1, 0.2]])) == [(0, 0), (1, 1)]


def test_nothing_allowed_and_nobody_there() -> None:
    assert solve(problem_of([[1.0]], allowed=[[False]])) == []
    assert solve(problem_of(np.zeros((0, 3)).tolist() or [[]])) == []


def test_the_optimum_beats_the_greedy_choice() -> None:
    problem = problem_of([[1.0, 0.9], [0.9, 0.0]])
    assert solve_greedily(problem) == [(0, 0), (1, 1)]
    assert solve(problem) == [(0, 1), (1, 0)]


def test_classes_of_age_begin_at_the_oldest() -> None:
    ages = np.array([0.0, 100.0, 40.0, 39.0, 161.0])
    assert age_class(ages, 60.0).tolist() == [0, 1, 1, 0, 2]
    assert age_class(ages, inf).tolist() == [0, 0, 0, 0, 0]
    assert age_class(np.array([1.0, 1.0, 2.0]), 0.0).tolist() == [0, 0, 1]


def test_additive_scores_gain_nothing_from_pairing() -> None:
    """Every full matching has the same sum; only interaction terms make a difference."""
    rng = np.random.default_rng(4)
    problem = problem_of(np.add.outer(rng.random(20), rng.random(20)).tolist())
    value = value_of(problem)
    assert value[tuple(np.array(solve(problem)).T)].sum() == pytest.approx(np.trace(value))
