"""What a seed stands for: the server's bounds, who asks what when, and what breaks meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from budgets.overload import OverloadSettings
from fallbacks.cache import CacheSettings
from router.domain.interaction import Criticality
from tests.virtual import MS, S

if TYPE_CHECKING:
    from collections.abc import Callable

# After the last fault the requests go on, evenly spaced, for long enough to see the top rung come back.
RECOVERY_NS, PROBE_EVERY_NS, PROBE_MS = 6 * S, 100 * MS, 100.0
LARGE_FAULTS = ("slow", "very slow", "stall", "error", "nan", "flaky")
_OTHER_FAULTS = ("small error", "small slow", "executor blocked", "disconnects", "swap", "clock forward", "clock back")
_LOOP_FAULTS = ("loop blocked", "loop busy")
_CLASSES = tuple(Criticality)
# Shares of the four classes: the usual, all alike, mostly who may be shed, all critical (the default of the wire).
_MIXES = ((1, 5, 2, 2), (1, 1, 1, 1), (1, 2, 1, 16), (0, 1, 0, 0))
# A plan with more arrivals plays too long: where many come, they come for a shorter time.
_MOST_CROWDED = 500


@dataclass(frozen=True, slots=True)
class Arrival:
    at_ns: int
    text: str
    stated_ms: tuple[float, ...]
    criticality: Criticality = Criticality.CRITICAL
    session_id: str | None = None
    leaves_after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a simulation varies."""

    seed: int
    arrivals: tuple[Arrival, ...]
    faults: tuple[Fault, ...]
    mended_ns: int
    fixed_ns: int  # what a call of the large rung costs, however many texts it has
    large_ns: int  # and what each text adds
    small_ns: int
    spread: float  # of the costs: sigma of their logarithm
    callback_ns: int
    has_jitter: bool
    max_jobs: int
    max_inflight: int
    cache: CacheSettings
    overload: OverloadSettings
    commit_ns: int | None  # how long the disk takes; None: the answer does not wait for it

    def broken(self, now_ns: int) -> dict[str, int]:
        """The kinds of fault at `now_ns`, and when each ends."""
        return {fault.kind: fault.end_ns for fault in self.faults if fault.start_ns <= now_ns < fault.end_ns}


def plan(seed: int, *, responsive: bool) -> Plan:
    """The plan of a seed. `responsive`: nothing keeps the event loop busy, so that no answer may be late."""
    rng = Random(seed)
    mended_ns = rng.randrange(1 * S, 3 * S)
    kinds = LARGE_FAULTS + _OTHER_FAULTS + (() if responsive else _LOOP_FAULTS)
    faults = tuple(_fault(rng, rng.choice(kinds), mended_ns) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    alone_ns = rng.randrange(3 * MS, 20 * MS)
    fixed_ns = rng.choice((0, 0, alone_ns // 2, alone_ns * 9 // 10))
    return Plan(
        seed=seed,
        arrivals=(*_storm(rng, _traffic(rng, alone_ns, mended_ns), faults), *_probes(mended_ns)),
        faults=faults,
        mended_ns=mended_ns,
        fixed_ns=fixed_ns,
        large_ns=alone_ns - fixed_ns,
        small_ns=1_000 if responsive else rng.randrange(MS // 10, MS // 2),
        spread=rng.choice((0.02, 0.25)),
        callback_ns=0 if responsive else rng.choice((0, 5_000, 50_000, 300_000)),
        has_jitter=rng.random() < 0.7,
        max_jobs=rng.choice((1, 2, 8, 64, 64)),
        max_inflight=rng.choice((4, 16, 1_024, 1_024)),
        cache=CacheSettings(entries=rng.choice((0, 3, 1_000)), fresh_s=rng.choice((0.0, 0.2, 60.0)), stale_s=1.0),
        overload=OverloadSettings(mode=rng.choices(("enforce", "dark", "off"), (8, 1, 1))[0]),
        commit_ns=rng.choice((None, None, None, 0, 20 * MS, 3_600 * S)),
    )


def long_fault(seed: int, kind: str) -> Plan:
    """Twenty seconds of one fault under steady traffic, then the end of it."""
    mended_ns = 22 * S
    steady = [
        Arrival(at_ns, f"steady {number}", (PROBE_MS,)) for number, at_ns in enumerate(range(0, mended_ns, 25 * MS))
    ]
    return replace(
        plan(seed, responsive=True),
        arrivals=(*steady, *_probes(mended_ns)),
        faults=(Fault(kind, 2 * S, mended_ns),),
        mended_ns=mended_ns,
        max_inflight=1_024,
        overload=OverloadSettings(),
        commit_ns=None,
    )


def long_overload(seed: int) -> Plan:
    """Five seconds of four times the large rung's capacity, then the end of it."""
    calm = plan(seed, responsive=True)
    rng = Random(seed)
    mended_ns = 6 * S
    rate = 4 * S / (calm.fixed_ns + calm.large_ns)
    return replace(
        calm,
        arrivals=(*_poisson(rng, _MIXES[0], rate, 1 * S, mended_ns, lambda _: (PROBE_MS,)), *_probes(mended_ns)),
        faults=(),
        mended_ns=mended_ns,
        max_jobs=64,
        max_inflight=1_024,
        overload=OverloadSettings(),
        commit_ns=None,
    )


def _fault(rng: Random, kind: str, mended_ns: int) -> Fault:
    start_ns = rng.randrange(mended_ns // 2)
    if kind.endswith("blocked"):
        return Fault(kind, start_ns, min(mended_ns, start_ns + rng.randrange(20 * MS, 500 * MS)))
    return Fault(kind, start_ns, rng.choice((mended_ns, rng.randrange(start_ns, mended_ns))))


def _traffic(rng: Random, alone_ns: int, until_ns: int) -> list[Arrival]:
    """A trickle with bursts, and for a while 0.2 to 10 times what the large rung can do alone."""
    weights, loads = rng.choice(_MIXES), (0.2, 0.5, 1.0, 2.0, 4.0, 10.0)
    calm_rate, rate = 0.3 * S / alone_ns, rng.choice(loads) * S / alone_ns
    start_ns = rng.randrange(until_ns // 2)
    end_ns = min(until_ns, start_ns + int(_MOST_CROWDED / rate * S))
    arrivals = _poisson(rng, weights, calm_rate, 0, until_ns, _stated_ms)
    arrivals += _poisson(rng, weights, rate, start_ns, end_ns, _stated_ms)
    return sorted(arrivals, key=lambda arrival: arrival.at_ns)


def _poisson(
    rng: Random,
    weights: tuple[int, ...],
    rate: float,
    now_ns: float,
    until_ns: int,
    stated_ms: Callable[[Random], tuple[float, ...]],
) -> list[Arrival]:
    """Poisson arrivals with bursts, of all kinds of texts, classes and sessions; some clients leave."""
    arrivals: list[Arrival] = []
    while (now_ns := now_ns + rng.expovariate(rate / S)) < until_ns:
        burst = rng.randrange(2, 60) if rng.random() < 0.3 / rate else 1  # one in three seconds
        shared = _text(rng, len(arrivals)) if rng.random() < 0.5 else None
        for number in range(burst):
            text = shared or _text(rng, len(arrivals) + number)
            session = f"session {rng.randrange(200)}" if rng.random() < 0.7 else None
            leaves = int(rng.expovariate(1 / (10 * MS))) if rng.random() < 0.1 else None
            criticality = rng.choices(_CLASSES, weights)[0]
            arrivals.append(Arrival(int(now_ns), text, stated_ms(rng), criticality, session, leaves))
    return arrivals


def _storm(rng: Random, arrivals: list[Arrival], faults: tuple[Fault, ...]) -> list[Arrival]:
    """In a storm of disconnects everybody leaves within milliseconds."""
    storms = [fault for fault in faults if fault.kind == "disconnects"]
    return [
        replace(arrival, leaves_after_ns=rng.randrange(10 * MS))
        if any(storm.start_ns <= arrival.at_ns < storm.end_ns for storm in storms)
        else arrival
        for arrival in arrivals
    ]


def _text(rng: Random, number: int) -> str:
    kind = rng.random()
    if kind < 0.05:
        return "get me a real person"
    if kind < 0.1:
        return f"i lost card {number}"
    if kind < 0.4:
        return f"popular {rng.randrange(6)}"
    return f"rare {number} " + "word " * rng.choice((0, 0, 3, 20, 90))


def _stated_ms(rng: Random) -> tuple[float, ...]:
    kind = rng.random()
    if kind < 0.3:
        return ()
    if kind < 0.5:
        return (rng.uniform(0.05, 8.0),)
    if kind < 0.55:
        return (rng.choice((0.0, -1.0, -1e308)),)
    if kind < 0.6:
        return (rng.choice((1e9, 1e308)), rng.uniform(5, 500))
    return (rng.uniform(5, 300),)


def _probes(mended_ns: int) -> list[Arrival]:
    """Of every class in turn."""
    times = range(mended_ns, mended_ns + RECOVERY_NS, PROBE_EVERY_NS)
    return [
        Arrival(at_ns, f"probe {number}", (PROBE_MS,), _CLASSES[number % len(_CLASSES)])
        for number, at_ns in enumerate(times)
    ]
