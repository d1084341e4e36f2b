"""What a scenario means, checked before anything is sent. Keys and types are msgspec's business (read.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from loadtest.arrival.process import Process
from loadtest.distribution import Distribution, Sampling
from loadtest.errors import ScenarioError
from loadtest.fault.link import ProxyFault
from loadtest.fault.timeline import timeline
from loadtest.gate.expression import Accuracy, Agreement, Mix, Recovery, parse, show
from loadtest.quantity import show_ns
from loadtest.scenario.explain import explain
from loadtest.scenario.fault import ServerFaults
from loadtest.scenario.spec import ArrivalsSpec, FaultSpec, GateSpec, PhaseSpec, RateSpec, Scenario, TargetSpec

CRITICALITIES = ("critical-plus", "critical", "sheddable-plus", "sheddable")
_ALL = "all"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_URL = re.compile(r"[!-~]+")
_PATH = re.compile(r"/[!-~]*")
_VALUE = re.compile(r"[\x20-\x7e\xa1-\xff\t]*")
_MOST_STEPS, _MOST_WORDS = 1_000, 200
_OF_ANSWERS = (Mix, Agreement, Accuracy, Recovery)
_KEYS = {"server": ServerFaults, "proxy": ProxyFault}


def problems(scenario: Scenario, *, has_pid: bool = False) -> list[str]:
    """Everything that can be said against it before the run: `key: what is wrong and what is allowed`. Empty: nothing.

    Args:
        has_pid: whoever runs it knows the server's process.
    """
    return [
        *_target(scenario.target),
        *_texts(scenario),
        *_phases(scenario.phases),
        *_faults(scenario, has_pid=has_pid),
        *_gates(scenario),
    ]


def check_address(text: str) -> None:
    """Raises: ScenarioError: it is not just scheme, host and port."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        host.encode("idna")
        is_address = url.scheme in {"http", "https"} and bool(host) and url.port != 0
    except ValueError:
        is_address = False
    if not (is_address and _URL.fullmatch(text)):
        raise ScenarioError(f"{text!r} is no address; write http://HOST:PORT")
    if url.path not in {"", "/"} or url.query or url.fragment or url.username is not None:
        raise ScenarioError(f"{text!r} has more than an address; the path belongs into target.path")


def without_answers(gate: GateSpec) -> GateSpec | None:
    """A gate without its conditions on what Takt's answers say, which `answers = "any"` does not read. None: no other.

    Raises: ScenarioError: it is no gate.
    """
    conditions = parse(gate.expr)
    kept = [each for each in conditions if not isinstance(each.metric, _OF_ANSWERS)]
    if len(kept) == len(conditions):
        return gate
    return msgspec.structs.replace(gate, expr=" and ".join(show(each) for each in kept)) if kept else None


def _target(target: TargetSpec) -> Iterator[str]:
    yield from _parsed("target.url", check_address, target.url)
    for key, path in (("path", target.path), ("ready", target.ready)):
        if not _PATH.fullmatch(path):
            yield f"target.{key}: {path!r} is no path; it begins with / and has no blanks"
    if target.start is not None and not target.start.strip():
        yield "target.start: is empty; leave it out, or write a command"
    if not target.timeout:
        yield "target.timeout: must be more than 0"
    for name, value in target.headers.items():
        if not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            yield f"target.headers.{name}: is no HTTP header"


def _texts(scenario: Scenario) -> Iterator[str]:
    yield from _parsed("payload.sample", Sampling.parse, scenario.payload.sample)
    yield from _parsed("budget.deadline", Distribution.parse, scenario.budget.deadline)
    if not _TOKEN.fullmatch(scenario.budget.header):
        yield f"budget.header: {scenario.budget.header!r} is no name of an HTTP header"
    for key, words in (("mix", scenario.mix), ("criticality", scenario.criticality)):
        if len(words) > _MOST_WORDS:
            yield f"{key}: has {len(words)} entries; at most {_MOST_WORDS} are allowed"
    for word in scenario.criticality if scenario.target.answers == "takt" else ():
        if word not in CRITICALITIES:
            yield f"criticality.{word}: there is no such criticality; allowed: {', '.join(CRITICALITIES)}"


def _phases(phases: list[PhaseSpec]) -> Iterator[str]:
    names: set[str] = set()
    for at, phase in enumerate(phases):
        where = f"phases[{at}]"
        if phase.name in names or phase.name == _ALL:
            yield f"{where}.name: {phase.name!r} is taken; each phase has its own name, and `{_ALL}` is for gates"
        names.add(phase.name)
        if not phase.for_:
            yield f"{where}.for: must be more than 0"
        yield from _arrivals(where, phase)
    if not any(phase.measure for phase in phases):
        yield "phases: none is measured; leave out `measure = false` in one of them"


def _arrivals(where: str, phase: PhaseSpec) -> Iterator[str]:
    arrivals = phase.arrivals
    if isinstance(arrivals, str):
        if arrivals.partition(":")[0] == "trace":
            yield f"{where}.arrivals: in a file a trace is written {{ trace = {{ file = 'FILE' }} }}"
        else:
            yield from _parsed(f"{where}.arrivals", Process.parse, arrivals)
        if phase.rate is None:
            yield f"{where}.rate: is missing; write requests per second"
        else:
            yield from _rate(f"{where}.rate", phase.rate)
        return
    yield from _one_of(f"{where}.arrivals", arrivals)
    if phase.rate is not None:
        yield f"{where}.rate: is given by arrivals.{'mmpp' if arrivals.mmpp else 'trace'} already; leave it out"
    if arrivals.mmpp is not None:
        if arrivals.mmpp.low > arrivals.mmpp.high:
            yield f"{where}.arrivals.mmpp.low: must not be more than high"
        for key in ("mean_low", "mean_high"):
            if not getattr(arrivals.mmpp, key):
                yield f"{where}.arrivals.mmpp.{key}: must be more than 0"


def _rate(where: str, rate: float | list[float] | RateSpec) -> Iterator[str]:
    if isinstance(rate, list) and not 1 <= len(rate) <= _MOST_STEPS:
        yield f"{where}: has {len(rate)} steps; 1 to {_MOST_STEPS:,} are allowed"
    if isinstance(rate, RateSpec):
        yield from _one_of(where, rate)
        if rate.diurnal is not None and rate.diurnal.low > rate.diurnal.high:
            yield f"{where}.diurnal.low: must not be more than high"
        if rate.diurnal is not None and not rate.diurnal.period:
            yield f"{where}.diurnal.period: must be more than 0"


def _one_of(where: str, spec: ArrivalsSpec | RateSpec) -> Iterator[str]:
    names = spec.__struct_fields__
    if sum(getattr(spec, name) is not None for name in names) != 1:
        yield f"{where}: needs exactly one of {', '.join(names)}"


def _faults(scenario: Scenario, *, has_pid: bool) -> Iterator[str]:
    try:
        timeline(scenario.faults)
    except ScenarioError as error:
        yield str(error)
    run_ns = sum(phase.for_ for phase in scenario.phases)
    for at, fault in enumerate(scenario.faults):
        where = f"faults[{at}]"
        if fault.at + fault.for_ > run_ns:
            yield f"{where}.at: it ends {show_ns(fault.at + fault.for_)} into the run, which takes {show_ns(run_ns)}"
        if fault.kind == "sigstop" and scenario.target.start is None and not has_pid:
            yield f"{where}.kind: sigstop freezes a process; say which with target.start or on the command line"
        yield from _set(where, fault)


def _set(where: str, fault: FaultSpec) -> Iterator[str]:
    kind = _KEYS.get(fault.kind)
    if kind is None:
        return
    try:
        msgspec.convert(fault.set, kind)
    except msgspec.ValidationError as error:
        yield f"{where}.set.{explain(error, fault.set, kind)}".replace(".top level:", ":", 1)


def _gates(scenario: Scenario) -> Iterator[str]:
    measured = [phase.name for phase in scenario.phases if phase.measure]
    for at, gate in enumerate(scenario.gates):
        yield from _parsed(f"gates[{at}].expr", _readable if scenario.target.answers == "any" else parse, gate.expr)
        if gate.on not in {*measured, _ALL}:
            yield f"gates[{at}].on: {gate.on!r} is no measured phase; there are {', '.join(measured)}, and {_ALL}"


def _readable(text: str) -> None:
    for each in parse(text):
        if isinstance(each.metric, _OF_ANSWERS):
            raise ScenarioError(f"{show(each)!r} asks what only Takt's answers say, and target.answers is `any`")


def _parsed(key: str, read: Callable[[str], object], text: str) -> Iterator[str]:
    try:
        read(text)
    except ScenarioError as error:
        yield f"{key}: {error}"
