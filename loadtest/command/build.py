"""From arguments to a scenario and how it is run; shared by every command that sends something."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from loadtest.arrival.process import Process
from loadtest.conductor import Options
from loadtest.distribution import Distribution
from loadtest.errors import ScenarioError
from loadtest.gate.expression import gate_of
from loadtest.live import choose_mode
from loadtest.quantity import duration_ns, number
from loadtest.scenario.check import check_address, without_answers
from loadtest.scenario.override import STEADY, TRACE, with_overrides
from loadtest.scenario.read import parse_scenario
from loadtest.scenario.spec import Rate
from loadtest.terminal import note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from loadtest.engine.inproc import Target
    from loadtest.quantity import Ns
    from loadtest.scenario.spec import GateSpec, Scenario

    MakeTarget = Callable[[bool], Target]  # argument: whether it shall let itself be broken

_MOST_PROCS = 64
ALL = "all"
_SEED = Annotated[int, msgspec.Meta(ge=0)]
_HIDDEN = "--token"  # its value, in what the report shows
T = TypeVar("T", bound=msgspec.Struct)


def scenario_of(args: Namespace) -> Scenario:
    """The scenario, as the command line changes it. Raises: ScenarioError, naming key or argument."""
    _check_alone(args)
    scenario = parse_scenario(args.scenario)
    target, payload, budget = scenario.target, scenario.payload, scenario.budget
    if args.start is not None:
        target = msgspec.structs.replace(target, start=args.start)
    if args.connections is not None:
        target = _within(target, "--connections", connections=args.connections)
    if args.answers is not None:
        target = msgspec.structs.replace(target, answers=args.answers)
    if args.payload is not None:
        payload = msgspec.structs.replace(payload, from_=args.payload)
    if getattr(args, "budget", None) is not None:
        budget = msgspec.structs.replace(budget, deadline=args.budget)
    changed = msgspec.structs.replace(scenario, target=target, payload=payload, budget=budget)
    made = with_overrides(
        changed,
        has_pid=args.pid is not None or args.engine == "inproc",
        url=args.target,
        rate=None if getattr(args, "rate", None) is None else number(args.rate),
        arrivals=getattr(args, "arrivals", None),
        duration=_time(args, "duration"),
        warmup=_time(args, "warmup"),
        seed=args.seed,
        gates=_gates(changed, args),
    )
    if len(made.faults) < len(changed.faults):
        note(f"{scenario.name}: faults that would end after the shorter run does are left out")
    return made


def options_of(args: Namespace, scenario: Scenario, make_target: MakeTarget) -> Options:
    """How it is run. Raises: ScenarioError."""
    if not 1 <= args.procs <= _MOST_PROCS:
        raise ScenarioError(f"--procs: {args.procs} is not within 1..{_MOST_PROCS}")
    return Options(
        out=args.out or default_out(scenario.name),
        engine=args.engine,
        procs=args.procs,
        pin=args.pin,
        pid=args.pid,
        token=args.token,
        live=choose_mode(args.live),
        command=command_line(),
        target=make_target(bool(scenario.faults)) if args.engine == "inproc" else None,
    )


def default_out(name: str) -> Path:
    """A directory that says what and when."""
    return Path("runs") / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"


def command_line() -> str:
    """As it was typed, but for secrets: the report shows it."""
    words = ["takt", *sys.argv[1:]]
    hidden = [
        f"{_HIDDEN}=…" if word.startswith(f"{_HIDDEN}=") else "…" if before == _HIDDEN else word
        for before, word in zip(["", *words], words, strict=False)
    ]
    return shlex.join(hidden)


def _check_alone(args: Namespace) -> None:
    """What can be said against an argument by itself, so that it is named as it was typed. Raises: ScenarioError."""
    checks: dict[str, Callable[[Any], object]] = {
        "target": check_address,
        "start": _command,
        "pid": _process,
        "seed": lambda seed: limited(seed, _SEED),
        "rate": lambda text: limited(number(text), Rate),
        "arrivals": lambda text: text.startswith(TRACE) or Process.parse(text),
        "duration": _some_time,
        "budget": Distribution.parse,
    }
    for name, check in checks.items():
        value = getattr(args, name, None)
        try:
            if value is not None:
                check(value)
        except ScenarioError as error:
            raise ScenarioError(f"--{name}: {error}") from None


def _command(text: str) -> None:
    if not text.strip():
        raise ScenarioError("is empty; write a command")


def _process(pid: int) -> None:
    if pid <= 1:  # 0 and below are whole groups, ours among them
        raise ScenarioError(f"{pid} is no process that can be frozen")


def _some_time(text: str) -> None:
    if not duration_ns(text):
        raise ScenarioError("must be more than 0")


def limited(value: object, kind: Any) -> None:  # noqa: ANN401 - any annotation
    """Raises: ScenarioError: the value is not within the limits of its kind."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = str(error)
        raise ScenarioError(f"{value}: {said[:1].lower()}{said[1:]}") from None


def _gates(scenario: Scenario, args: Namespace) -> tuple[GateSpec, ...]:
    gates = list(scenario.gates)
    if args.answers == "any":
        gates = [readable for gate in gates if (readable := without_answers(gate)) is not None]
        if gates != scenario.gates:
            note(f"{scenario.name}: conditions on what answers say are left out, as --answers any reads none")
    if any(getattr(args, name, None) is not None for name in ("rate", "arrivals", "duration")):
        kept = [gate for gate in gates if gate.on in (ALL, STEADY)]
        if len(kept) < len(gates):
            note(f"{scenario.name}: gates on phases that the command line replaces are left out")
        gates = kept
    gates += [gate_of(text) for text in getattr(args, "gate", ())]
    confidence = getattr(args, "confidence", None)
    if confidence is not None:
        gates = [_within(gate, "--confidence", confidence=confidence) for gate in gates]
    return tuple(gates)


def _time(args: Namespace, name: str) -> Ns | None:
    text = getattr(args, name, None)
    if text is None:
        return None
    try:
        return duration_ns("0ms" if text == "0" else text)
    except ScenarioError as error:
        raise ScenarioError(f"--{name}: {error}") from None


def _within(spec: T, argument: str, **fields: object) -> T:
    """The spec with other fields, held against their limits."""
    changed = msgspec.structs.replace(spec, **fields)
    try:
        for name, value in fields.items():
            kind = next(each.type for each in msgspec.structs.fields(type(spec)) if each.name == name)
            msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{argument}: {error}") from None
    return changed
