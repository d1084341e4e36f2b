"""`takt loadtest search`: one run after another, each at the rate that the verdicts before it ask for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import uvloop

from loadtest.command.build import command_line, default_out, options_of, scenario_of
from loadtest.conductor import conduct
from loadtest.errors import INTERRUPTED, RunError, ScenarioError
from loadtest.gate.expression import claimed_share, gate_of, parse
from loadtest.gate.judge import GateResult, judge, overall
from loadtest.health import check
from loadtest.interrupt import Interrupts
from loadtest.quantity import Ns, S, duration_ns, number, show_ns, to_json
from loadtest.run import with_looks
from loadtest.scenario.override import with_overrides
from loadtest.scenario.spec import GateSpec
from loadtest.search import Bracket, Search, Settings, Step, Verdict
from loadtest.statistics.early_stopping import needed
from loadtest.terminal import note, say, table
from loadtest.view import view

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from loadtest.command.build import MakeTarget
    from loadtest.run import Run
    from loadtest.scenario.spec import Scenario

RESULT = "search.json"
# A step has to be long enough to pass although so many requests miss.
_MISSES = 10
_FEWEST = 100
_BAR_CHARS = 20


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what it proved. verdict: None, it was interrupted; gates: empty, it was invalid or interrupted."""

    path: str
    step: Step
    verdict: Verdict | None
    why: str = ""
    gates: tuple[GateResult, ...] = ()


class SearchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `search.json` is made of. complete: False, it was interrupted, or the server was gone."""

    schema: str = "loadtest-search/1"
    scenario: str
    command: str
    complete: bool
    objective: tuple[GateSpec, ...]
    settings: Settings
    result: Bracket
    runs: tuple[StepRun, ...]


def run(args: Namespace, make_target: MakeTarget) -> int:
    """Search; all runs and `search.json` are written below `--out`.

    Returns: 0 found and confirmed, 1 not even the lowest rate holds, 3 not confirmed, 4 the generator is the limit.
    Raises: LoadtestError: nothing can be measured.
    """
    gates = objective(args)
    scenario = msgspec.structs.replace(scenario_of(args), gates=list(gates))
    if scenario.faults:
        note(f"{scenario.name}: its faults are left out; what is looked for is the rate of a whole server")
        scenario = msgspec.structs.replace(scenario, faults=[])
    settings = settings_of(args, scenario.seed, gates)
    out: Path = args.out or default_out(f"search-{scenario.name}")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; name another directory with --out")
    runs: list[StepRun] = []

    async def attempt(step: Step) -> StepRun:
        path = out / f"{len(runs) + 1:02}-{step.kind}-{step.rate:g}"
        options = replace(options_of(args, scenario, make_target), out=path)
        if args.live is None and options.live == "lines":  # there is a line for each step
            options = replace(options, live="off")
        made = await conduct(at_step(scenario, step), options)
        runs.append(judged(with_looks(made, settings.looks), step))
        note(_line(runs[-1], settings))
        return runs[-1]

    search, cooldown_s = Search(settings), _argument(args, "cooldown", duration_ns) / S
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(climb(search, attempt, cooldown_s))
    finally:  # also if the server did not survive a step: what is known of it by then is worth having
        if runs:
            record = SearchRecord(
                scenario=scenario.name,
                command=command_line(),
                complete=search.next() is None,
                objective=gates,
                settings=settings,
                result=search.result,
                runs=tuple(runs),
            )
            _conclude(record, out, args)
    return search.result.exit_code if record.complete else INTERRUPTED


async def climb(search: Search, attempt: Callable[[Step], Awaitable[StepRun]], cooldown_s: float) -> None:
    """Make step after step until nothing is left to learn, or one is interrupted; let the server rest in between."""
    while (step := search.next()) is not None:
        made = await attempt(step)
        if made.verdict is None:
            return
        search.record(step, made.verdict, made.why)
        if search.next() is not None and not await _rest(cooldown_s):
            return


async def _rest(seconds: float) -> bool:
    """Returns: whether that was not interrupted."""
    with Interrupts() as interrupts:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if not interrupts.heard:
                raise
    return not interrupts.heard


def objective(args: Namespace) -> tuple[GateSpec, ...]:
    """`--slo` and `--keep`, all of which must hold. Raises: ScenarioError."""
    gates = [gate_of(text) for text in [*args.slo, *args.keep]]
    if args.confidence is None:
        return tuple(gates)
    if not 0.5 <= args.confidence < 1:  # noqa: PLR2004 - GateSpec's limits
        raise ScenarioError(f"--confidence {args.confidence:g}: must be at least 0.5 and below 1")
    return tuple(msgspec.structs.replace(gate, confidence=args.confidence) for gate in gates)


def settings_of(args: Namespace, seed: int, gates: tuple[GateSpec, ...]) -> Settings:
    """Where to look. A step sends as many requests as its objective needs for a proof. Raises: ScenarioError."""
    looks = Settings().looks
    counts = [
        needed(_MISSES, share, 1 - (1 - gate.confidence) / looks)
        for gate in gates
        for condition in parse(gate.expr)
        if (share := claimed_share(condition)) is not None
    ]
    return Settings(
        lowest=_argument(args, "lowest", number, "from"),
        highest=_argument(args, "highest", number, "to"),
        precision=_argument(args, "precision", number),
        step_ns=int(_argument(args, "step", duration_ns)),
        confirm_ns=int(_argument(args, "confirm", duration_ns)),
        requests=max([_FEWEST, *(count for count in counts if count is not None)]),
        looks=looks,
        seed=seed,
    )


def at_step(scenario: Scenario, step: Step) -> Scenario:
    """The scenario with one measured phase, that of the step; its warm-up stays, at the step's rate."""
    return with_overrides(scenario, rate=step.rate, duration=Ns(step.for_ns), seed=step.seed, has_pid=True)


def judged(run: Run, step: Step) -> StepRun:
    """Hold a step's run against its own gates."""
    if run.record.status != "complete":
        return StepRun(path=str(run.path), step=step, verdict=None, why="interrupted")
    everything = view(run)
    validity = check(run, everything)
    if not validity.valid:
        return StepRun(path=str(run.path), step=step, verdict="invalid", why=validity.reasons[0])
    results = judge(everything, run.record.scenario.gates, payloads=run.payloads)
    verdict = overall(results)
    why = "; ".join(f"{each.gate}: {each.why}" for each in results if each.verdict == verdict != "pass")
    return StepRun(path=str(run.path), step=step, verdict=verdict, why=why, gates=results)


def conclusion(bracket: Bracket, *, complete: bool = True) -> list[str]:
    """The answer, in sentences."""
    low, fail, lines = bracket.highest_pass, bracket.lowest_fail, []
    if not complete:
        lines.append("the search ended before it was done; this is what was known by then")
    if low is None and not complete:
        lines.append("no rate was shown to hold")
    elif low is None:
        last = bracket.steps[-1] if bracket.steps else None
        lines.append(f"no rate holds: {last.step.rate:g}/s is {_WORDS[last.verdict]}" if last else "no step was made")
    else:
        lines.append(f"highest rate that holds: {low:g}/s, {'confirmed' if bracket.confirmed else 'NOT confirmed'}")
    lines.append(f"lowest rate that fails: {fail:g}/s" if fail is not None else "no rate was proven to fail")
    if bracket.undecided:
        between = ", ".join(f"{rate:g}" for rate in bracket.undecided)
        lines.append(f"too close to the limit to tell: {between}/s; a longer --step decides more")
    if bracket.invalid_from is not None:
        why = next(each.why for each in bracket.steps if each.verdict == "invalid")
        lines.append(f"not higher than {bracket.invalid_from:g}/s, because of the generator: {why}")
    return lines


_WORDS = {"pass": "held", "fail": "too high", "inconclusive": "undecided", "invalid": "invalid"}


def _conclude(record: SearchRecord, out: Path, args: Namespace) -> None:
    if args.json:
        say(*to_json(record).decode().splitlines())
    else:
        _tell(record)
        say("", f"all runs: {out}")
    try:
        (out / RESULT).write_bytes(to_json(record))
    except OSError as error:
        raise RunError(f"{out / RESULT}: cannot be written: {error.strerror}") from error


def _tell(record: SearchRecord) -> None:
    rows = []
    for made in sorted(record.runs, key=lambda each: each.step.rate):
        held = min((_held(each) for each in made.gates), default=None)
        bar = "" if held is None else f"{held:7.2%} {'#' * round(_BAR_CHARS * held)}"
        values = ", ".join(_value(each) for each in made.gates) or made.why
        rows.append(
            (f"{made.step.rate:g}", made.step.kind, show_ns(made.step.for_ns), made.verdict or "-", values, bar)
        )
    say("")
    table(("rate", "step", "for", "verdict", ", ".join(gate.expr for gate in record.objective), "held by"), rows)
    say("", *conclusion(record.result, complete=record.complete))


def _held(result: GateResult) -> float:
    """The share of requests for which a gate held; of what is no share, whether it did."""
    if result.misses is None or not result.n:
        return float(result.verdict == "pass")
    return 1 - result.misses / result.n


def _value(result: GateResult) -> str:
    if result.value is None:
        return "-"
    if result.unit == "ns":
        return show_ns(result.value)
    return f"{result.value:.2%}" if result.unit == "share" else f"{result.value:,.0f}/s"


def _line(made: StepRun, settings: Settings) -> str:
    step, values = made.step, ", ".join(f"{each.gate.split()[0]} {_value(each)}" for each in made.gates)
    again = f" (look {step.look})" if step.look > 1 else ""
    asked_ns = (settings.confirm_ns if step.kind == "confirm" else settings.step_ns) * 2 ** (step.look - 1)
    if step.for_ns > asked_ns:
        again += f" ({settings.requests:,} requests, which a proof may need)"
    said = values or made.why
    verdict = "" if made.verdict is None else f"{made.verdict}; "
    return f"{step.kind} {step.rate:g}/s for {show_ns(step.for_ns)}{again}: {verdict}{said}"


def _argument(args: Namespace, name: str, read: Callable[[str], float], option: str | None = None) -> float:
    try:
        return read(getattr(args, name))
    except ScenarioError as error:
        raise ScenarioError(f"--{option or name}: {error}") from None
