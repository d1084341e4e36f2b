"""What a seed stands for: the server's bounds, who asks what when, and what breaks meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from fallbacks.cache import CacheSettings
from tests.virtual import MS, S

# After the last fault the requests go on, evenly spaced, for long enough to see the top rung come back.
RECOVERY_NS, PROBE_EVERY_NS, PROBE_MS = 6 * S, 100 * MS, 100.0
LARGE_FAULTS = ("slow", "stall", "error", "nan", "flaky")
_OTHER_FAULTS = ("small error", "executor blocked", "loop blocked")


@dataclass(frozen=True, slots=True)
class Arrival:
    at_ns: int
    text: str
    stated_ms: tuple[float, ...]
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
    large_ns: int
    small_ns: int
    spread: float  # of the costs: sigma of their logarithm
    callback_ns: int
    has_jitter: bool
    max_jobs: int
    max_inflight: int
    cache: CacheSettings
    commit_ns: int | None  # how long the disk takes; None: the answer does not wait for it

    def broken(self, now_ns: int) -> dict[str, int]:
        """The kinds of fault at `now_ns`, and when each ends."""
        return {fault.kind: fault.end_ns for fault in self.faults if fault.start_ns <= now_ns < fault.end_ns}


def plan(seed: int, *, responsive: bool) -> Plan:
    """The plan of a seed. `responsive`: nothing keeps the event loop busy, so that no answer may be late."""
    rng = Random(seed)
    mended_ns = rng.randrange(1 * S, 3 * S)
    kinds = LARGE_FAULTS + (_OTHER_FAULTS[:-1] if responsive else _OTHER_FAULTS)
    return Plan(
        seed=seed,
        arrivals=(*_traffic(rng, mended_ns), *_probes(mended_ns)),
        faults=tuple(_fault(rng, rng.choice(kinds), mended_ns) for _ in range(rng.choice((0, 1, 1, 2, 3)))),
        mended_ns=mended_ns,
        large_ns=rng.randrange(3 * MS, 20 * MS),
        small_ns=1_000 if responsive else rng.randrange(MS // 10, MS // 2),
        spread=rng.choice((0.02, 0.25)),
        callback_ns=0 if responsive else rng.choice((0, 5_000, 50_000)),
        has_jitter=rng.random() < 0.7,
        max_jobs=rng.choice((1, 2, 8, 64)),
        max_inflight=rng.choice((4, 16, 1_024)),
        cache=CacheSettings(entries=rng.choice((0, 3, 1_000)), fresh_s=rng.choice((0.0, 0.2, 60.0)), stale_s=1.0),
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
        commit_ns=None,
    )


def _fault(rng: Random, kind: str, mended_ns: int) -> Fault:
    start_ns = rng.randrange(mended_ns // 2)
    if kind.endswith("blocked"):
        return Fault(kind, start_ns, min(mended_ns, start_ns + rng.randrange(20 * MS, 500 * MS)))
    return Fault(kind, start_ns, rng.choice((mended_ns, rng.randrange(start_ns, mended_ns))))


def _traffic(rng: Random, until_ns: int) -> list[Arrival]:
    """Poisson arrivals with bursts, of every budget a client may think of; some clients leave."""
    arrivals: list[Arrival] = []
    now_ns = 0.0
    while (now_ns := now_ns + rng.expovariate(40 / S)) < until_ns:
        burst = rng.randrange(2, 60) if rng.random() < 0.03 else 1
        shared = _text(rng, len(arrivals)) if rng.random() < 0.5 else None
        for number in range(burst):
            leaves = int(rng.expovariate(1 / (10 * MS))) if rng.random() < 0.1 else None
            text = shared or _text(rng, len(arrivals) + number)
            arrivals.append(Arrival(int(now_ns), text, _stated_ms(rng), leaves))
    return arrivals


def _text(rng: Random, number: int) -> str:
    kind = rng.random()
    if kind < 0.05:
        return "get me a real person"
    if kind < 0.1:
        return f"i lost card {number}"
    return f"popular {rng.randrange(6)}" if kind < 0.5 else f"rare {number}"


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
    times = range(mended_ns, mended_ns + RECOVERY_NS, PROBE_EVERY_NS)
    return [Arrival(at_ns, f"probe {number}", (PROBE_MS,)) for number, at_ns in enumerate(times)]
