"""After ten seconds of ten times the traffic, from clients that retry. A part of `tests.bench.overload`.

Before and after 0.5 C, and the spike ten times that, first attempts alone. All attempts count as load; what is judged
are first attempts, from when they were due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import uvloop

from loadtest.quantity import S
from tests.bench import report
from tests.bench.overload_retry import Impatient
from tests.bench.overload_return import back_s
from tests.bench.overload_run import server

if TYPE_CHECKING:
    from tests.bench.overload import Bench

_LOAD, _SPIKE = 0.5, 10.0
_LAST_S = 3.0
_WITHIN_S, _TRIES = 2.0, 3
_KINDS = {"takt": True, "takt-b0": False}  # and whether the goal is for it


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """`retries`: further attempts, of each request of the spike. `last`: of the run's last seconds, in time."""

    kind: str
    back_s: float
    before: float
    during: float
    last: float
    large_before: float
    large_during: float
    large_last: float
    retries: float
    lag_p99_ms: float  # of the clients, before and after the spike; beyond the limit the run is invalid
    spike_lag_p99_ms: float
    valid: bool


def measure(bench: Bench) -> list[Spike]:
    """A new server for each spike."""
    units, given = bench.units, bench.given
    calm, warm_up_ns, found = _LOAD * units.c, round(given.warm_up_s * S), []
    parts = [(calm, given.warm_up_s + given.before_s), (_SPIKE * calm, given.spike_s), (calm, given.after_s + _LAST_S)]
    for kind, is_ours in _KINDS.items():
        for at in range(given.spikes if is_ours else 1):
            for _ in range(_TRIES):
                with server(kind, timeout_ms=units.budget_ms, expected_ms=units.e_ms) as process:
                    clients = Impatient(process.url, units.budget_ms, given.seed + at)
                    marks = uvloop.run(clients.run(parts))
                lag_ms = max(
                    clients.lag_p99_ms(marks[0] + warm_up_ns, marks[1]), clients.lag_p99_ms(marks[2] + S, marks[3])
                )
                if lag_ms <= given.lag_ms:
                    break
            fates = clients.fates()
            before = fates.between(marks[0] + warm_up_ns, marks[1])
            during, last = fates.between(marks[1], marks[2]), fates.between(marks[3] - int(_LAST_S * S), marks[3])
            more = sum(each.number > 0 and marks[1] <= each.due_ns < marks[2] for each in clients.attempts)
            spike = Spike(
                kind=kind, back_s=back_s(fates, before, marks[2]), before=before.attainment,
                during=during.attainment, last=last.attainment, large_before=before.large, large_during=during.large,
                large_last=last.large, retries=more / max(1, len(during.due_ns)), lag_p99_ms=lag_ms,
                spike_lag_p99_ms=clients.lag_p99_ms(marks[1], marks[2]), valid=lag_ms <= given.lag_ms,
            )  # fmt: skip
            found.append(spike)
            bench.pace(f"{kind}: back {spike.back_s:.2f} s after the spike")
    _tell(found)
    return found


def _tell(found: list[Spike]) -> None:
    rows: list[tuple[object, ...]] = [
        (each.kind + ("" if each.valid else " -"), each.back_s,
         *(f"{share:.2%}" for share in (each.before, each.during, each.last)),
         *(f"{share:.1%}" for share in (each.large_before, each.large_during, each.large_last)),
         f"{each.retries:.2f}", each.lag_p99_ms, each.spike_lag_p99_ms)
        for each in found
    ]  # fmt: skip
    report.table(("server", "back after s", "in budget before", "during", "last 3 s", "large before", "during",
                  "last 3 s", "retries per request", "lag p99 ms", "in the spike"), rows)  # fmt: skip
    mine = [each for each in found if _KINDS[each.kind]]
    report.verdict(f"back within {_WITHIN_S:g} s, every time", is_met=all(each.back_s <= _WITHIN_S for each in mine))
