"""The fault matrix: what is broken, one thing at a time, at 0.7 C. A part of `tests.bench.overload`.

Some seconds without, some with the fault, some after it; a new server for each. Faults of the spans' collector last the
whole run, so nothing is known of before and after, and need the exporter (takt[otlp]). Not here: Redis (there is none
in the product), a reload of the configuration (none either: what is new in takt.toml needs a restart), and steps of the
wall clock (a process cannot have a clock of its own without privileges; the simulation steps it).
"""

from __future__ import annotations

from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest.quantity import S
from loadtest.sample import NEVER, REFUSED
from loadtest.view import ERROR, LATE, OK, SHED
from models.store import resolve
from tests.bench import report
from tests.bench.overload_bank import MODELS
from tests.bench.overload_load import shares
from tests.bench.overload_numbers import numbers
from tests.bench.overload_plan import Part, Plan, server_fault
from tests.bench.overload_return import Fates, back_s
from tests.bench.overload_run import Trouble, run_once, server, until_valid
from tests.bench.overload_trouble import (
    dead_collector,
    deaf_collector,
    half_quota,
    leavers,
    slow_readers,
    swap_to,
    terminate,
)
from tests.bench.swaps import two_versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.bench.overload import Bench
    from tests.bench.overload_run import Seen
    from tests.bench.server_process import ServerProcess

    Cause = Callable[[ServerProcess], AbstractAsyncContextManager[None]]

_COLLECTORS = {"collector dead": dead_collector, "collector deaf": deaf_collector}
_LOAD = 0.7
# As many as a load balancer would keep: a connection that is idle through the whole drain is closed, and what is sent
# on it at that moment is lost.
_DRAINED_CONNECTIONS = 16
_ATTAINED, _WITHIN_S = 0.995, 5.0
_ENDPOINT, _KEEP_SHARE = "TAKT__TELEMETRY__OTLP_ENDPOINT", "TAKT__TELEMETRY__KEEP_SHARE"


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """`during` to `errors`: shares of the requests while the fault lasted. `back_s` None: it lasted to the end."""

    fault: str
    valid: bool
    requests: int
    before: float
    during: float
    shed: float
    late: float
    errors: float
    large_before: float
    large_during: float
    degraded: dict[str, float]  # while it lasted, by why not better
    back_s: float | None


def measure(bench: Bench) -> list[Broken]:
    """A row for each fault."""
    found = []

    def tell(row: Broken) -> None:
        found.append(row)
        bench.pace(f"{row.fault}: {row.during:.2%} in budget, back after {row.back_s} s")

    for name, fault in _server_faults(bench).items():
        tell(_one(bench, name, fault=fault))
    for name, cause in {"client slow to read": slow_readers, "disconnect storm": leavers,
                        "half the CPU": half_quota}.items():  # fmt: skip
        tell(_one(bench, name, cause=cause))
    with TemporaryDirectory() as folder:
        versions = two_versions(Path(folder), resolve(MODELS).path)
        tell(
            _one(
                bench,
                "model hot-swap",
                cause=swap_to(cycle(versions[::-1])),
                for_s=0.0,
                environment={"TAKT__MODELS__DIR": folder},
            )
        )
    for name, collector in _COLLECTORS.items() if find_spec("opentelemetry.exporter") is not None else ():
        with collector() as url:
            tell(_one(bench, name, environment={_ENDPOINT: url, _KEEP_SHARE: "1"}))
    tell(_drain(bench))
    _tell(found)
    return found


def _server_faults(bench: Bench) -> dict[str, dict[str, dict[str, object]]]:
    return {
        "large ten times slower": {"large": {"delay_ms": 9 * bench.units.e_ms}},
        "large raises, 20 %": {"large": {"error_share": 0.2}},
        "large answers NaN": {"large": {"nan_share": 1.0}},
        "executor blocked 500 ms": {"executor": {"block_ms": 500}},
        "loop blocked 100 ms": {"loop": {"block_ms": 100}},
        "store 500 ms slower": {"store": {"delay_ms": 500}},
        "store dead": {"store": {"down": True}},
    }


def _one(
    bench: Bench,
    name: str,
    fault: dict[str, dict[str, object]] | None = None,
    cause: Cause | None = None,
    for_s: float | None = None,
    environment: dict[str, str] | None = None,
) -> Broken:
    trouble = _trouble(bench, cause, for_s)
    seen = _run("takt-faults", _plan(bench, fault), trouble, environment)
    fates = Fates.of(seen.whole)
    start_ns, end_ns = bench.given.warm_up_s * S, seen.whole.record.phases[-1].end_ns
    if seen.trouble_ns is not None:
        began_ns, ended_ns = seen.trouble_ns
    elif fault is not None:
        # A block of the loop delays the answer to the request that sets it: it began when it was due.
        began_ns, ended_ns = int(seen.whole.record.scenario.faults[0].at), seen.whole.record.faults[0].end_ns
    else:
        return _row(bench, name, seen, fates, (start_ns, end_ns), None)
    before = fates.between(round(start_ns), began_ns)
    return _row(bench, name, seen, before, (began_ns, ended_ns), back_s(fates, before, ended_ns))


def _run(kind: str, plan: Plan, trouble: Trouble | None, environment: dict[str, str] | None = None) -> Seen:
    """Each try with a server of its own."""

    def once() -> Seen:
        with server(kind, environment) as process:
            return run_once(process, plan, trouble)

    return until_valid(once)


def _plan(bench: Bench, fault: dict[str, dict[str, object]] | None) -> Plan:
    units, given = bench.units, bench.given
    part = Part(name="steady", rate=_LOAD * units.c, seconds=given.before_s + given.fault_s + given.after_s)
    faults = () if fault is None else (server_fault(given.warm_up_s + given.before_s, given.fault_s, **fault),)
    return Plan(parts=(part,), budget_ms=units.budget_ms, seed=given.seed, lag_ms=given.lag_ms,
                warm_up_s=given.warm_up_s, faults=faults)  # fmt: skip


def _trouble(bench: Bench, cause: Cause | None, for_s: float | None) -> Trouble | None:
    given = bench.given
    at_s, for_s = given.warm_up_s + given.before_s, given.fault_s if for_s is None else for_s
    return None if cause is None else Trouble(at_s, for_s, cause)


def _row(
    bench: Bench, name: str, seen: Seen, before: Fates, during_ns: tuple[float, float], back: float | None
) -> Broken:
    at_ns = seen.whole.planned["intended_ns"]
    its = seen.whole.where((at_ns >= during_ns[0]) & (at_ns < during_ns[1]))
    fates, count = Fates.of(its), max(1, len(its))
    outcomes = np.bincount(its.outcome, minlength=6) / count
    return Broken(
        fault=name, valid=not seen.why_invalid, requests=len(its), before=before.attainment, during=fates.attainment,
        shed=float(outcomes[SHED]), late=float(outcomes[LATE]),
        errors=float(1 - outcomes[[OK, LATE, SHED]].sum()), large_before=before.large, large_during=fates.large,
        degraded=numbers(its, bench.qualities, valid=True).degraded, back_s=back,
    )  # fmt: skip


def _drain(bench: Bench) -> Broken:
    """SIGTERM under load. Who was let in gets an answer; who comes after the port is closed is told so by the kernel.

    `during` is of the requests that reached the server, from the signal on.
    """
    plan = msgspec.structs.replace(_plan(bench, None), connections=_DRAINED_CONNECTIONS)
    seen = _run("takt", plan, _trouble(bench, terminate, 0.0))
    assert seen.trouble_ns is not None
    sample, whole = seen.whole.sample, seen.whole
    reached = (sample["sent_ns"] != NEVER) & (sample["status"] != REFUSED)
    asked = msgspec.structs.replace(seen, whole=whole.where(reached))
    before = Fates.of(whole).between(round(bench.given.warm_up_s * S), seen.trouble_ns[0])
    row = _row(
        bench, "SIGTERM, drain", asked, before, (seen.trouble_ns[0], float(whole.record.phases[-1].end_ns)), None
    )
    lost = int(((whole.outcome == ERROR) & reached).sum())
    print(f"  SIGTERM: {row.requests} requests reached the server after it, {lost} were lost")
    return row


def _tell(found: list[Broken]) -> None:
    rows: list[tuple[object, ...]] = [
        (each.fault + ("" if each.valid else " -"), each.requests, f"{each.before:.2%}", f"{each.during:.2%}",
         f"{each.late:.2%}", f"{each.shed:.2%}", f"{each.errors:.2%}", f"{each.large_before:.1%}",
         f"{each.large_during:.1%}", shares(each.degraded), "-" if each.back_s is None else each.back_s)
        for each in found
    ]  # fmt: skip
    report.table(("fault", "requests", "before", "during", "late", "shed", "errors", "large before", "during",
                  "degraded", "back after s"), rows)  # fmt: skip
    for each in found:
        is_back = each.back_s is None or each.back_s <= _WITHIN_S
        goal = f"{each.fault}: {_ATTAINED:.1%} in budget, back within {_WITHIN_S:g} s"
        report.verdict(goal, is_met=each.during >= _ATTAINED and is_back)
