"""Several runs of one scenario as one: of several machines at once, or of successive looks at one server.

Runs that overlap in time were one load: their phases are one. Runs that don't are put end to end, each with its
phases; what lies between them is cut out, so that every rate stays what it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from loadtest.agents.book import together
from loadtest.errors import RunError
from loadtest.quantity import encode_quantity
from loadtest.run import PhaseRecord, Run, RunRecord, create, open_run, save
from loadtest.sample import MAX_REQUESTS, NEVER, NOT_SAID

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_PHASES = 255
_TIMES = ("paced_ns", "sent_ns", "first_ns", "done_ns")
_GRAVEST = ("planned", "interrupted", "complete")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A run, how far its times move, and how far its phases' numbers."""

    run: Run
    shift_ns: int
    first_phase: int


def merge(runs: Sequence[Run], path: Path) -> Run:
    """Write the whole to `path`. Raises: RunError: they don't go together, or there is no room; says why."""
    _check(runs)
    placed, phases = _place(sorted(runs, key=lambda run: run.record.origin_wall_ns))
    names = {
        field: tuple(dict.fromkeys(name for each in placed for name in getattr(each.run.record, field)))
        for field in ("criticalities", "channels", "routes")
    }
    record = _record(placed, phases, names)
    planned = np.concatenate([_planned(each, names) for each in placed])
    create(path, msgspec.structs.replace(record, status="planned"), planned, placed[0].run.payloads)
    whole = open_run(path, writable=True)
    at = 0
    for each in placed:
        whole.samples[at : at + len(each.run.samples)] = _samples(each, names["routes"])
        at += len(each.run.samples)
    whole.samples.flush()  # type: ignore[attr-defined] # it is mapped
    save(path, record)
    return open_run(path)


def _check(runs: Sequence[Run]) -> None:
    first = runs[0]
    ids: dict[str, Path] = {}
    for run in runs:
        if run.record.id in ids:
            raise RunError(f"{run.path}: is the same run as {ids[run.record.id]}; each counts once")
        ids[run.record.id] = run.path
        wanted, found = _scenario(first), _scenario(run)
        if wanted != found:
            told = "; ".join(_differences(wanted, found, ""))
            raise RunError(f"{run.path}: its scenario is not that of {first.path}: {told}")
        if run.record.engine != first.record.engine:
            told = f"engine {run.record.engine}, not {first.record.engine}"
            raise RunError(f"{run.path}: differs from {first.path}: {told}")
        if run.payloads != first.payloads:
            raise RunError(f"{run.path}: sent other payloads than {first.path}")
    if sum(len(run.planned) for run in runs) > MAX_REQUESTS:
        raise RunError(f"together they have more than {MAX_REQUESTS:,} requests; merge fewer")


def _scenario(run: Run) -> dict[str, Any]:
    """As plain data, without the seed."""
    found: dict[str, Any] = msgspec.to_builtins(run.record.scenario, enc_hook=encode_quantity)
    found.pop("seed", None)
    return found


def _differences(wanted: Any, found: Any, key: str) -> list[str]:  # noqa: ANN401 - plain data
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for name in dict.fromkeys((*wanted, *found))
            for line in _differences(wanted.get(name), found.get(name), f"{key}.{name}".lstrip("."))
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for at, pair in pairs for line in _differences(*pair, f"{key}[{at}]")]
    return [] if wanted == found else [f"{key} is {found!r}, not {wanted!r}"]


def _place(runs: Sequence[Run]) -> tuple[list[_Placed], list[PhaseRecord]]:
    """Args: runs: by their begin."""
    placed: list[_Placed] = []
    phases: list[PhaseRecord] = []
    session_wall_ns = session_at_ns = end_ns = first_phase = 0
    for run in runs:
        record = run.record
        length_ns = max(record.ended_ns, max((phase.end_ns for phase in record.phases), default=0))
        shift_ns = session_at_ns + record.origin_wall_ns - session_wall_ns
        if not placed or shift_ns >= end_ns:
            session_wall_ns, session_at_ns, first_phase = record.origin_wall_ns, end_ns, len(phases)
            shift_ns = session_at_ns
            phases += [_moved(phase, shift_ns) for phase in record.phases]
        else:
            for at, phase in enumerate(record.phases, first_phase):
                phases[at] = _joined(phases[at], _moved(phase, shift_ns))
        placed.append(_Placed(run, shift_ns, first_phase))
        end_ns = max(end_ns, shift_ns + length_ns)
    if len(phases) > _MOST_PHASES:
        raise RunError(f"together they have {len(phases)} phases, {_MOST_PHASES} are allowed; merge fewer")
    return placed, phases


def _moved(phase: PhaseRecord, by_ns: int) -> PhaseRecord:
    return msgspec.structs.replace(phase, start_ns=phase.start_ns + by_ns, end_ns=phase.end_ns + by_ns)


def _joined(one: PhaseRecord, other: PhaseRecord) -> PhaseRecord:
    start_ns, end_ns = min(one.start_ns, other.start_ns), max(one.end_ns, other.end_ns)
    return msgspec.structs.replace(one, start_ns=start_ns, end_ns=end_ns)


def _record(placed: Sequence[_Placed], phases: Sequence[PhaseRecord], names: dict[str, tuple[str, ...]]) -> RunRecord:
    records = [each.run.record for each in placed]
    faults = [
        msgspec.structs.replace(
            fault, begin_ns=fault.begin_ns + each.shift_ns, end_ns=max(NEVER, fault.end_ns + each.shift_ns)
        )
        for each in placed
        for fault in each.run.record.faults
    ]
    row, repeats = 0, []
    for each in placed:
        repeats += [msgspec.structs.replace(one, row=one.row + row) for one in each.run.record.repeats]
        row += len(each.run.planned)
    workers = [worker for record in records for worker in record.workers]
    by_end = [each.run.record for each in sorted(placed, key=lambda each: each.shift_ns + each.run.record.ended_ns)]
    return msgspec.structs.replace(
        records[0],
        id=hashlib.sha256(" ".join(record.id for record in records).encode()).hexdigest()[:8],
        command="; ".join(dict.fromkeys(record.command for record in records)),
        status=min((record.status for record in records), key=_GRAVEST.index),
        ended_ns=max(each.shift_ns + each.run.record.ended_ns for each in placed),
        clock_step_ns=max((record.clock_step_ns for record in records), key=abs),
        phases=tuple(phases),
        workers=tuple(msgspec.structs.replace(worker, index=at) for at, worker in enumerate(workers)),
        faults=tuple(sorted(faults, key=lambda fault: fault.begin_ns)),
        repeats=tuple(repeats),
        agents=together([record.agents for record in by_end if record.agents is not None]),
        environment={
            key: " | ".join(dict.fromkeys(record.environment[key] for record in records if key in record.environment))
            for key in dict.fromkeys(key for record in records for key in record.environment)
        },
        # Whoever looks again after a run has ended has one more chance to pass by luck.
        looks=max(*(record.looks for record in records), len({each.first_phase for each in placed})),
        merged_from=tuple(f"{record.id}, seed {record.scenario.seed}" for record in records),
        **names,
    )


def _planned(each: _Placed, names: dict[str, tuple[str, ...]]) -> np.ndarray:
    record, planned = each.run.record, each.run.planned.copy()
    planned["intended_ns"] += each.shift_ns
    planned["phase"] += each.first_phase
    planned["channel"] = _renumbered(planned["channel"], record.channels, names["channels"])
    said = planned["criticality"] != NOT_SAID
    renumbered = _renumbered(np.where(said, planned["criticality"], 0), record.criticalities, names["criticalities"])
    planned["criticality"] = np.where(said, renumbered, NOT_SAID)
    return planned


def _samples(each: _Placed, routes: tuple[str, ...]) -> np.ndarray:
    samples = each.run.samples.copy()
    for field in _TIMES:
        samples[field] = np.where(samples[field] == NEVER, NEVER, samples[field] + each.shift_ns)
    routed = samples["route"] != NEVER
    renumbered = _renumbered(np.where(routed, samples["route"], 0), each.run.record.routes, routes)
    samples["route"] = np.where(routed, renumbered, NEVER)
    return samples


def _renumbered(numbers: np.ndarray, before: tuple[str, ...], after: tuple[str, ...]) -> np.ndarray:
    """Indexes into one table of names as indexes into another."""
    if not before:
        return numbers
    found: np.ndarray = np.array([after.index(name) for name in before], np.int64)[numbers]
    return found
