"""`takt loadtest calibrate`: the generator against servers whose every delay is known, on this machine."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from loadtest.calibrate import Joined, Measurement, baseline_ns, join, judge, judge_stall
from loadtest.conductor import Options, conduct
from loadtest.distribution import Distribution
from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.errors import INTERRUPTED, INVALID, PASSED, ScenarioError
from loadtest.health import Validity, check
from loadtest.quantity import Ns, S, duration_ns, number, show_ns
from loadtest.scenario.spec import FaultSpec, PhaseSpec, Scenario, TargetSpec, ValiditySpec
from loadtest.terminal import note, say, table
from loadtest.view import View, view

_NO_DELAY = "0ms"
_KINDS = {"bimodal": "2ms:99,200ms:1", "lognormal": "lognormal(20ms, 0.5)"}
_STALL = "stall"
_USUAL = ("const:1ms", "const:5ms", "const:20ms", "bimodal", "lognormal", _STALL)
_FIRST_RATE, _LAST_RATE = 500.0, 64_000.0
_HALVINGS = 2  # after the doubling: the highest valid rate is found to an eighth
_COMFORTABLE_SHARE = 0.5  # of the highest valid rate: there, numbers have to be right
_USUAL_RATE = 1_000.0  # or there, if that is less: the echo server must keep up too
_FROZEN_SHARE = 1 / 20
_SHORTEST_NS = 2 * S
_CONNECTIONS = 256


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The result, as `--json` prints it. Rates in requests per second."""

    highest_valid_rate: float
    lowest_invalid_rate: float | None
    cores: str
    measurements: tuple[Measurement, ...]


class _Interrupted(Exception):
    """Ctrl-C in a measurement."""


@dataclass(frozen=True, slots=True)
class _Bench:
    """How everything is measured."""

    folder: Path
    engine: str
    for_ns: Ns
    pin: tuple[int, ...]
    pin_echo: tuple[int, ...]

    def load(self, delay: str, rate: float) -> tuple[View, Joined, Validity]:
        """Poisson arrivals at a server with this delay."""
        with start_echo(EchoSettings(delay=delay), self.pin_echo) as echo:
            seen, health = self._run(self._scenario(echo.url, rate, "poisson"), None)
            return seen, join(seen, echo.truth()), health

    def stall(self, rate: float, way_ns: float) -> Measurement:
        """A server that is frozen for a while, under a constant load."""
        frozen = FaultSpec(at=Ns(self.for_ns // 4), for_=Ns(round(self.for_ns * _FROZEN_SHARE)), kind="sigstop", set={})
        with start_echo(EchoSettings(), self.pin_echo) as echo:
            scenario = msgspec.structs.replace(self._scenario(echo.url, rate, "constant"), faults=[frozen])
            seen, health = self._run(scenario, echo.pid)
        (fault,) = seen.record.faults
        return judge_stall(rate, seen, fault.end_ns - fault.begin_ns, self.for_ns, way_ns, health)

    def _scenario(self, url: str, rate: float, arrivals: str) -> Scenario:
        return Scenario(
            name="calibrate",
            target=TargetSpec(url=url, answers="any", connections=_CONNECTIONS),
            phases=[PhaseSpec(name="steady", arrivals=arrivals, rate=rate, for_=self.for_ns)],
            validity=ValiditySpec(),
        )

    def _run(self, scenario: Scenario, pid: int | None) -> tuple[View, Validity]:
        with TemporaryDirectory(dir=self.folder) as out:
            options = Options(
                out=Path(out), engine=self.engine, pin=self.pin, pid=pid, command="takt loadtest calibrate"
            )
            run = asyncio.run(conduct(scenario, options))
            if run.record.status != "complete":
                raise _Interrupted
            seen = view(run)
            return seen.on("all"), check(run, seen)


def run(args: Namespace) -> int:
    """Returns: 0; 4 where this machine is too slow, or too busy, for numbers that are right."""
    kinds = tuple(args.target_latency) or _USUAL
    delays = {kind: _delay(kind) for kind in kinds}  # what is wrong is told before anything is measured
    rates = [_rate(text) for text in args.rate]
    pin, pin_echo = _cores(args)
    with TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), args.engine, _duration(args.duration), pin, pin_echo)
        try:
            result = _calibrate(bench, delays, rates)
        except _Interrupted:
            note("interrupted; nothing was found")
            return INTERRUPTED
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    else:
        _show(result)
    return PASSED if all(each.valid and each.accurate for each in result.measurements) else INVALID


def _calibrate(bench: _Bench, delays: dict[str, str], rates: list[float]) -> Calibration:
    highest, lowest_invalid = (0.0, None) if rates else _highest_valid(bench)
    measurements = tuple(each for rate in rates or [_comfortable(highest)] for each in _measure(bench, delays, rate))
    if rates:
        invalid = {each.rate for each in measurements if not each.valid}
        highest, lowest_invalid = max(set(rates) - invalid, default=0.0), min(invalid, default=None)
    return Calibration(
        highest_valid_rate=highest,
        lowest_invalid_rate=lowest_invalid,
        cores=_show_cores(bench),
        measurements=measurements,
    )


def _highest_valid(bench: _Bench) -> tuple[float, float | None]:
    """Returns: the highest rate found valid, 0 for none; the lowest found invalid, if there was one."""
    highest, lowest_invalid, rate = 0.0, None, _FIRST_RATE
    while rate <= _LAST_RATE and lowest_invalid is None:
        highest, lowest_invalid = (rate, None) if _is_valid(bench, rate) else (highest, rate)
        rate *= 2
    for _ in range(_HALVINGS):
        if lowest_invalid is None or not highest:
            break
        rate = (highest + lowest_invalid) / 2
        highest, lowest_invalid = (rate, lowest_invalid) if _is_valid(bench, rate) else (highest, rate)
    return highest, lowest_invalid


def _is_valid(bench: _Bench, rate: float) -> bool:
    """Asked once more before it is denied: on a shared machine, others take a core now and then."""
    for _ in range(2):
        _, joined, health = bench.load(_NO_DELAY, rate)
        note(f"{rate:,.0f}/s: {'valid' if health.valid else '; '.join(health.reasons)}")
        if health.valid and not joined.lost:
            return True
    return False


def _comfortable(highest: float) -> float:
    return min(_USUAL_RATE, _COMFORTABLE_SHARE * highest) or _FIRST_RATE


def _measure(bench: _Bench, delays: dict[str, str], rate: float) -> Iterator[Measurement]:
    _, joined, health = bench.load(_NO_DELAY, rate)
    way_ns = baseline_ns(joined)
    note(f"{rate:,.0f}/s: the way there and back takes {show_ns(way_ns)}")
    yield judge(_NO_DELAY, rate, joined, way_ns, health)
    for kind, delay in delays.items():
        note(f"{rate:,.0f}/s: {kind}")
        if kind == _STALL:
            yield bench.stall(rate, way_ns)
        else:
            _, joined, health = bench.load(delay, rate)
            yield judge(delay, rate, joined, way_ns, health)


def _show(result: Calibration) -> None:
    columns = ("delay", "rate", "requests", "p50", "error", "p99", "error", "KS", "lag p99", "")
    table(columns, (_row(each) for each in result.measurements))
    for each in result.measurements:
        for reason in each.why:
            note(f"{each.delay} at {each.rate:,.0f}/s: {reason}")
    above = f"; {result.lowest_invalid_rate:,.0f}/s is too much" if result.lowest_invalid_rate else ""
    say(f"highest valid rate of one generator process: {result.highest_valid_rate:,.0f}/s{above}", result.cores)


def _row(each: Measurement) -> tuple[str, ...]:
    verdict = "invalid" if not each.valid else f"{each.lost} lost" if each.lost else "right" if each.accurate else "off"
    return (
        each.delay,
        f"{each.rate:,.0f}/s",
        f"{each.requests:,}",
        show_ns(each.p50_ns),
        show_ns(each.p50_error_ns),
        show_ns(each.p99_ns),
        show_ns(each.p99_error_ns),
        "" if each.ks is None else f"{each.ks:.3f}",
        show_ns(each.lag_p99_ns),
        verdict,
    )


def _cores(args: Namespace) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the generator and of the server: as asked, else one for each where there are two.

    Both spin. A system that puts them on one core, as some do with what looks short-lived, measures itself.
    """
    if args.pin or args.pin_echo or not hasattr(os, "sched_getaffinity"):
        return args.pin, args.pin_echo
    allowed = sorted(os.sched_getaffinity(0))
    return ((allowed[-1],), (allowed[0],)) if len(allowed) > 1 else ((), ())


def _show_cores(bench: _Bench) -> str:
    if not bench.pin:
        return "the generator was on no core of its own"
    cores = ",".join(str(core) for core in bench.pin)
    return f"the generator was on core {cores}; a run is only as good with --pin {cores}, and the server elsewhere"


def _delay(kind: str) -> str:
    """A distribution. Raises: ScenarioError: no such kind."""
    if kind == _STALL:
        return _NO_DELAY
    text = kind.removeprefix("const:") if kind.startswith("const:") else _KINDS.get(kind, kind)
    try:
        return Distribution.parse(text).show()
    except ScenarioError as error:
        known = ", ".join(("const:5ms", *_KINDS, _STALL))
        raise ScenarioError(f"--target-latency: {kind!r} is none of {known}, nor a distribution: {error}") from None


def _rate(text: str) -> float:
    rate = number(text)
    if not 1 <= rate <= _LAST_RATE:
        raise ScenarioError(f"--rate: {text} is not within 1..{_LAST_RATE:g}")
    return rate


def _duration(text: str) -> Ns:
    for_ns = duration_ns(text)
    if for_ns < _SHORTEST_NS:
        raise ScenarioError(f"--duration: {text} is too short to say anything; at least {_SHORTEST_NS // S}s")
    return for_ns
