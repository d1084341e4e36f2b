"""From arguments to a scenario: every mistake names its argument, and what cannot be judged is left out."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from loadtest.command import arguments, plan
from loadtest.command.build import options_of, scenario_of
from loadtest.errors import ScenarioError
from loadtest.scenario.shipped import shipped
from loadtest.scenario.spec import Scenario


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.add(parser.add_subparsers())
    return parser.parse_args(["loadtest", "run", *words])


def made(*words: str) -> Scenario:
    return scenario_of(parsed(*words))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rate", "0"), "--rate: 0.0: expected `float` > 0.0"),
        (("--rate", "-1"), "--rate: '-1' is no number"),
        (("--rate", "nan"), "--rate: 'nan' is no number"),
        (("--rate", "2000k"), "--rate: 2000000.0: expected `float` <= 1000000.0"),
        (("--seed", "-1"), "--seed: -1: expected `int` >= 0"),
        (("--duration", "0s"), "--duration: must be more than 0"),
        (("--duration", "5"), "--duration: '5' is no duration"),
        (("--warmup", "soon"), "--warmup: 'soon' is no duration"),
        (("--arrivals", "posson"), "--arrivals: 'posson' is no kind of arrivals"),
        (("--budget", "soon"), "--budget: 'soon'"),
        (("--target", "nowhere"), "--target: 'nowhere' is no address"),
        (("--target", "http://a..b"), "--target: 'http://a..b' is no address"),
        (("--target", "http://a/b"), "--target: 'http://a/b' has more than an address"),
        (("--start", " "), "--start: is empty"),
        (("--pid", "0"), "--pid: 0 is no process"),  # SIGSTOP to our own group
        (("--pid", "-1"), "--pid: -1 is no process"),  # SIGSTOP to everything
        (("--connections", "0"), "--connections: Expected `int` >= 1"),
        (("--confidence", "1"), "--confidence: Expected `float` < 1.0"),
        (("--gate", "fast"), "gate 'fast'"),
        (("--answers", "any", "--gate", "share(rung=large) >= 0.9"), "asks what only Takt's answers say"),
    ],
)
def test_a_mistake_names_its_argument(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ScenarioError) as error:
        made("steady", *words)
    assert says in str(error.value)


@pytest.mark.parametrize(("cores", "says"), [("4095", "no such core"), ("-1", "no such core"), ("x", "are no cores")])
def test_a_core_that_is_not_there_is_refused(cores: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        parsed("steady", f"--pin={cores}")
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert "argument --pin: " in said
    assert says in said


def test_a_rate_is_written_as_everywhere() -> None:
    assert made("steady", "--rate", "2k").phases[-1].rate == 2_000


def test_faults_that_no_longer_fit_are_left_out_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert made("dead-store", "--duration", "2s").faults == []
    assert "dead-store: faults that would end after the shorter run does are left out" in capsys.readouterr().err
    assert made("dead-store", "--duration", "30s").faults
    assert "faults" not in capsys.readouterr().err


def test_only_what_is_left_out_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    made("steady", "--answers", "any", "--rate", "9")
    assert "gates on phases" not in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "2000k"])
def test_a_plan_names_its_argument(rate: str) -> None:
    args = argparse.Namespace(gate=["p99 <= 50ms @ 99%"], rate=rate)
    with pytest.raises(ScenarioError, match=r"^--rate: "):
        plan.run(args)


@pytest.mark.parametrize("name", shipped())
def test_a_server_that_is_not_takt_is_not_asked_what_only_takt_says(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = " ".join(gate.expr for gate in made(name, "--answers", "any").gates)
    assert gates
    assert not any(word in gates for word in ("share(", "recovery", "agreement", "accuracy", "large"))
    is_changed = gates != " ".join(gate.expr for gate in made(name).gates)
    assert ("--answers any" in capsys.readouterr().err) == is_changed


def test_of_a_gate_on_both_the_half_that_can_be_judged_stays() -> None:
    first, *_ = made("dead-store", "--answers", "any").gates
    assert (first.on, first.expr) == ("dead", "attainment() >= 0.95")


def test_processes_are_bounded() -> None:
    args = parsed("steady", "--procs", "65", "--out", str(Path("x")))
    with pytest.raises(ScenarioError, match="--procs: 65"):
        options_of(args, scenario_of(args), lambda _: NotImplemented)
