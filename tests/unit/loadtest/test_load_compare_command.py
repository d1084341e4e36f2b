"""`takt loadtest compare`: what is paired with what, and what it exits with."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from loadtest.command import arguments
from loadtest.command.compare import one_of, order, run, runs_in
from loadtest.errors import FAILED, INCONCLUSIVE, INVALID, PASSED, LoadtestError
from loadtest.run import WorkerHealth, open_run, save
from loadtest.scenario.spec import TargetSpec
from tests.fabricated import fabricate, scenario

MS, S = 1_000_000, 1_000_000_000
COUNT = 4_000
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a healthy run of latencies around 10 ms, and give its directory."""

    def written(name: str, *, slower: float = 1.0, seed: int = 1, **fields: object) -> str:
        latency_ns = slower * 10 * MS * np.random.default_rng(seed).lognormal(0, 0.2, COUNT)
        books = {"paced_total": COUNT, "sent_total": COUNT, "answered_total": COUNT}
        workers = (WorkerHealth(index=0, ended="done", wall_ns=S, **books),)  # type: ignore[arg-type]
        fabricate(tmp_path / name, latency_ns, **{"workers": workers, **fields})  # type: ignore[arg-type]
        return str(tmp_path / name)

    return written


def compare(*words: str) -> int:
    parser = ArgumentParser()
    arguments.add(parser.add_subparsers())
    return run(parser.parse_args(["loadtest", "compare", *words]))


def test_worse_exits_with_1_and_says_by_how_much(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(make("base"), make("new", slower=1.3, seed=2)) == FAILED
    out = capsys.readouterr().out
    assert "verdict: worse" in out
    p50 = next(line for line in out.splitlines() if line.startswith("p50"))
    assert "+30" in p50 or "+29" in p50 or "+31" in p50
    assert p50.endswith("worse")


def test_better_and_equal_exit_with_0(make: Make) -> None:
    base = make("base")
    assert compare(base, make("new", slower=0.7, seed=2)) == PASSED
    assert compare(base, base) == PASSED


def test_inconclusive_exits_with_3_if_asked(make: Make) -> None:
    base, new = make("base"), make("new", seed=3)
    assert compare(base, new, "--tolerance", "0.1%") == PASSED
    assert compare(base, new, "--tolerance", "0.1%", "--fail-on", "inconclusive") == INCONCLUSIVE


def test_a_wide_tolerance_makes_equal(make: Make) -> None:
    assert (
        compare(make("base"), make("new", slower=1.1, seed=2), "--tolerance", "20%", "--fail-on", "inconclusive") == 0
    )


def test_an_invalid_run_is_compared_and_not_believed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(make("base"), make("late", lag_ns=50 * MS)) == INVALID
    assert "late: invalid" in capsys.readouterr().err


def test_json_says_the_same(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    compare(make("base"), make("new", slower=1.3, seed=2), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["paired"], told["pairs"]) == ("worse", True, 1)
    assert {"p50", "p90", "p99", "in budget", "not degraded"} <= {metric["name"] for metric in told["metrics"]}


def test_directories_of_runs_are_paired_by_name(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for at in (1, 2):
        make(f"old/{at}", seed=at)
        new = make(f"new/{at}", seed=at + 10)
    sides = Path(new).parent.parent / "old", Path(new).parent
    assert [each.path.name for each in runs_in(sides[0])] == ["1", "2"]
    compare(str(sides[0]), str(sides[1]))
    assert "2 pairs of runs, 8,000 and 8,000 requests" in capsys.readouterr().out
    make("old/3")
    with pytest.raises(LoadtestError, match="holds 3 runs"):
        compare(str(sides[0]), str(sides[1]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name two runs"),
        (("runs/a",), "name two runs"),
        (("http://a", "runs/b"), "not one of each"),
        (("http://a", "http://b"), "--scenario"),
        (("http://a", "http://b", "--scenario", "steady", "--repeat", "0"), "--repeat"),
        (("runs/a", "runs/b", "--tolerance", "none"), "--tolerance: .none"),
        (("runs/a", "runs/b", "--tolerance", "100%"), "--tolerance"),
        (("runs/a", "runs/b"), "runs/a"),
    ],
)
def test_says_what_cannot_be_compared(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(LoadtestError, match=said):
        compare(*words)


def test_turns_meet_a_drift_alike() -> None:
    assert [side for _, side in order(4)] == ["base", "new", "new", "base", "base", "new", "new", "base"]
    assert [pair for pair, _ in order(4)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_pair_has_a_seed_of_its_own_and_starts_no_server() -> None:
    of = scenario(seed=5, target=TargetSpec(start="takt serve"))
    base, new = one_of(of, 2, "http://a"), one_of(of, 2, "http://b")
    assert base.seed == new.seed == 7
    assert (base.target.url, new.target.url, new.target.start) == ("http://a", "http://b", None)


def test_history_judges_the_newest(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    old = [make(f"{at}", seed=at, started_at=f"2026-01-{at:02}T00:00:00+00:00") for at in range(1, 8)]
    assert compare("--history", *reversed(old)) == PASSED
    slow = [make(f"{at}", slower=2, started_at=f"2026-01-{at:02}T00:00:00+00:00") for at in (8, 9)]
    assert compare("--history", *old, slow[0]) == PASSED, "one alone is chance"
    capsys.readouterr()
    assert compare("--history", *old, *slow) == FAILED
    assert "worse" in capsys.readouterr().out


def test_a_history_leaves_out_what_is_no_complete_run(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [make(f"{at}", seed=at, started_at=f"2026-01-{at:02}T00:00:00+00:00") for at in range(1, 8)]
    (tmp_path / "search").mkdir()
    cut = make("cut", slower=9, started_at="2026-02-01T00:00:00+00:00")
    save(Path(cut), msgspec.structs.replace(open_run(Path(cut)).record, status="interrupted"))
    assert compare("--history", *old, str(tmp_path / "search"), cut, cut) == PASSED
    told = capsys.readouterr().err
    assert "search: holds no run" in told
    assert "cut: it is interrupted" in told
    with pytest.raises(LoadtestError, match="none of them"):
        compare("--history", cut)


def test_a_short_history_proves_nothing(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make("a"), make("b")]
    assert compare("--history", *runs, "--fail-on", "inconclusive") == INCONCLUSIVE
    assert "2 runs: a band needs 5" in capsys.readouterr().err
