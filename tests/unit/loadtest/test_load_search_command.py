"""`takt loadtest search`: arguments, what a run proves, and what is told."""

from __future__ import annotations

import asyncio
import json
import signal
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import uvloop

from loadtest.command import arguments
from loadtest.command.search import StepRun, _line, at_step, climb, conclusion, judged, objective, settings_of
from loadtest.command.search import run as search_run
from loadtest.conductor import Options
from loadtest.engine.inproc import Target
from loadtest.errors import Interrupted, LoadtestError, ScenarioError, Unreachable
from loadtest.quantity import MS, Ns, S
from loadtest.run import Run, WorkerHealth
from loadtest.scenario.spec import GateSpec, PhaseSpec, Scenario
from loadtest.search import Bracket, Search, Settings, Step, Tried, Verdict
from tests.fabricated import fabricate, scenario


def healthy(count: int) -> tuple[WorkerHealth, ...]:
    """A generator whose books agree with a run of so many answers."""
    return (WorkerHealth(index=0, ended="done", wall_ns=S, paced_total=count, sent_total=count, answered_total=count),)


def no_target(breakable: bool) -> Target:
    raise NotImplementedError


STEP = Step(kind="bisect", rate=300, for_ns=20 * S, seed=7)


def arguments_of(*words: str) -> Namespace:
    parser = ArgumentParser()
    arguments.add(parser.add_subparsers())
    return parser.parse_args(["loadtest", "search", "steady", *words])


def test_slo_and_keep_must_hold_alike() -> None:
    gates = objective(arguments_of("--slo", "p99<=50ms", "--keep", "share(rung=large)>=0.95", "--confidence", "0.95"))
    assert [(gate.expr, gate.confidence) for gate in gates] == [("p99<=50ms", 0.95), ("share(rung=large)>=0.95", 0.95)]


def test_a_step_is_long_enough_for_a_proof() -> None:
    args = arguments_of("--slo", "p99<=50ms", "--from", "0.1k", "--to", "2k", "--precision", "10%", "--step", "30s")
    settings = settings_of(args, 3, objective(args))
    assert (settings.lowest, settings.highest, settings.precision, settings.step_ns) == (100, 2_000, 0.1, 30 * S)
    # Ten misses at 99 % need 2,010 requests; a third of the doubt each for three looks needs some more.
    assert 2_010 < settings.requests < 2_500
    assert settings.seed == 3
    rare = arguments_of("--slo", "p99.9<=50ms")
    assert settings_of(rare, 3, objective(rare)).requests > 20_000


def test_a_step_that_is_longer_than_asked_says_why() -> None:
    settings = Settings(step_ns=3 * S, requests=2_223)
    step = Search(settings).next()
    assert step is not None
    assert step.for_ns == 23 * S
    line = _line(StepRun(path="", step=step, verdict="pass"), settings)
    assert line.startswith("grow 100/s for 23.0 s (2,223 requests, which a proof may need): pass")
    asked = _line(StepRun(path="", step=STEP, verdict="pass"), settings)
    assert "a proof" in asked
    assert "a proof" not in _line(StepRun(path="", step=STEP, verdict="pass"), Settings(step_ns=20 * S))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--slo", "p99<=50ms", "--from", "many"), "--from"),
        (("--slo", "p99<=50ms", "--precision", "close"), "--precision"),
        (("--slo", "p99<=50ms", "--step", "20"), "--step"),
        (("--slo", "speed<=50ms"), "speed"),
        (("--slo", "p99<=50ms", "--confidence", "1"), "--confidence"),
    ],
)
def test_says_which_argument_cannot_be(words: tuple[str, ...], named: str) -> None:
    args = arguments_of(*words)
    with pytest.raises(ScenarioError, match=named):
        settings_of(args, 1, objective(args))


def test_a_step_changes_rate_length_and_seed_and_keeps_the_warm_up() -> None:
    warm = PhaseSpec(name="warm", rate=50.0, for_=Ns(2 * S), measure=False)
    phases = [warm, PhaseSpec(name="steady", arrivals="constant", rate=100.0, for_=Ns(60 * S))]
    gates = [GateSpec(expr="p99 <= 50ms")]
    made = at_step(scenario(phases=phases, gates=gates), STEP)
    assert [(phase.rate, phase.for_, phase.measure) for phase in made.phases] == [
        (300, 2 * S, False),
        (300, 20 * S, True),
    ]
    assert made.phases[1].arrivals == "constant"
    assert (made.seed, made.gates) == (7, gates)


@pytest.mark.parametrize(
    ("latency_ms", "verdict"), [([1] * 3_000, "pass"), ([1, 60] * 1_500, "fail"), ([1] * 300, "inconclusive")]
)
def test_a_run_is_held_against_the_objective(tmp_path: Path, latency_ms: list[int], verdict: Verdict) -> None:
    of = scenario(gates=[GateSpec(expr="p99 <= 50ms")])
    run = fabricate(tmp_path / "run", [each * MS for each in latency_ms], of=of, workers=healthy(len(latency_ms)))
    made = judged(run, STEP)
    assert made.verdict == verdict, made.why


def test_a_run_of_a_late_generator_proves_nothing(tmp_path: Path) -> None:
    of = scenario(gates=[GateSpec(expr="p99 <= 50ms")])
    made = judged(fabricate(tmp_path / "run", [MS] * 3_000, of=of, lag_ns=30 * MS, workers=healthy(3_000)), STEP)
    assert made.verdict == "invalid"
    assert "late" in made.why


def test_an_interrupted_run_ends_the_search(tmp_path: Path) -> None:
    whole = fabricate(tmp_path / "run", [MS] * 3_000)
    run = replace(whole, record=msgspec.structs.replace(whole.record, status="interrupted"))
    made: list[Step] = []

    async def attempt(step: Step) -> StepRun:
        made.append(step)
        return judged(run, step)

    asyncio.run(climb(Search(Settings()), attempt, cooldown_s=0))
    assert len(made) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pause_that_is_interrupted_ends_the_search(number: signal.Signals) -> None:
    made: list[Step] = []

    async def attempt(step: Step) -> StepRun:
        made.append(step)
        if made[1:]:
            raise AssertionError("the pause was not ended")
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)
        return StepRun(path="", step=step, verdict="pass")

    before = signal.signal(number, lambda *_: None)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(climb(Search(Settings()), attempt, cooldown_s=3))
    finally:
        signal.signal(number, before)
    assert len(made) == 1


@pytest.mark.parametrize("error", [Unreachable, Interrupted])
def test_a_step_that_cannot_be_does_not_take_the_search_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[LoadtestError]
) -> None:
    made: list[Path] = []

    async def conduct(of: Scenario, options: Options) -> Run:
        if made:
            raise error("gone")
        made.append(options.out)
        return fabricate(options.out, [MS] * 3_000, of=of, workers=healthy(3_000))

    monkeypatch.setattr("loadtest.command.search.conduct", conduct)
    with pytest.raises(error):
        search_run(arguments_of("--slo", "p99<=50ms", "--out", str(tmp_path / "out"), "--cooldown", "1ms"), no_target)
    told = capsys.readouterr().out
    assert "ended before it was done" in told
    assert "highest rate that holds: 100/s, NOT confirmed" in told
    record = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (record["complete"], len(record["runs"])) == (False, 1)


def test_an_interrupted_search_claims_nothing() -> None:
    lines = conclusion(bracket(highest_pass=None, lowest_fail=None), complete=False)
    assert lines[1:] == ["no rate was shown to hold", "no rate was proven to fail"]


def test_climbs_to_the_end() -> None:
    search = Search(Settings(lowest=100, highest=400))

    async def attempt(step: Step) -> StepRun:
        return StepRun(path="", step=step, verdict="pass" if step.rate < 300 else "fail")

    asyncio.run(climb(search, attempt, cooldown_s=0))
    assert search.next() is None
    assert search.result.confirmed


def bracket(**fields: object) -> Bracket:
    known = {"highest_pass": 980.0, "lowest_fail": 1_020.0, "confirmed": True, "undecided": (), "invalid_from": None}
    return Bracket(**{**known, "steps": (), **fields})  # type: ignore[arg-type]


def test_the_answer_is_a_bracket() -> None:
    assert conclusion(bracket()) == ["highest rate that holds: 980/s, confirmed", "lowest rate that fails: 1020/s"]
    assert "NOT confirmed" in conclusion(bracket(confirmed=False))[0]
    assert "1000/s" in conclusion(bracket(undecided=(1_000.0,)))[-1]


def test_the_answer_names_the_generator_where_that_is_the_limit() -> None:
    late = Tried(step=STEP, verdict="invalid", why="the generator was late")
    lines = conclusion(bracket(lowest_fail=None, invalid_from=1_020.0, steps=(late,)))
    assert lines[1:] == [
        "no rate was proven to fail",
        "not higher than 1020/s, because of the generator: the generator was late",
    ]


def test_the_answer_says_where_no_rate_holds() -> None:
    tried = Tried(step=STEP, verdict="fail")
    assert conclusion(bracket(highest_pass=None, steps=(tried,)))[0] == "no rate holds: 300/s is too high"
