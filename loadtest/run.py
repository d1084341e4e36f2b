"""A run on disk: `run.json` tells what was done, two arrays hold every request. Reports are made from it again.

runs/NAME/run.json        RunRecord
runs/NAME/planned.npy     the schedule, sample.PLANNED
runs/NAME/samples.npy     what happened, sample.SAMPLE; workers write into it while they run
runs/NAME/payloads.jsonl  what was sent, a line each: {"body": {...}, "label": ...}
runs/NAME/metrics.*.txt   Takt's /metrics before the first request and after the last answer
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from loadtest.agents.book import AgentsRecord
from loadtest.errors import RunError
from loadtest.payload import Payload, read_payloads, write_payloads
from loadtest.quantity import decode_quantity, to_json
from loadtest.sample import PLANNED, SAMPLE, empty
from loadtest.scenario.spec import Scenario

RUN, PLAN, SAMPLES, PAYLOADS = "run.json", "planned.npy", "samples.npy", "payloads.jsonl"
METRICS_BEFORE, METRICS_AFTER = "metrics.before.txt", "metrics.after.txt"
_NEW = f"{RUN}.new"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` is made of."""


class PhaseRecord(Record, frozen=True, kw_only=True):
    """When a phase was, from the start of the run."""

    name: str
    start_ns: int
    end_ns: int
    measure: bool


class WorkerHealth(Record, frozen=True, kw_only=True):
    """What a generator process says of itself. The counts are its own, not taken from the samples."""

    index: int
    ended: Literal["done", "stopped", "killed"]
    wall_ns: int = 0
    cpu_ns: int = 0
    spin_ns: int = 0
    gc_total: int = 0
    gc_max_ns: int = 0
    paced_total: int = 0
    sent_total: int = 0
    answered_total: int = 0
    failed_total: int = 0
    waited_total: int = 0
    connected_total: int = 0
    routes: tuple[str, ...] = ()


class FaultRecord(Record, frozen=True, kw_only=True):
    """A fault as it was: when it began and ended, from the start of the run."""

    kind: str
    what: str
    begin_ns: int
    end_ns: int
    error: str = ""


class Repeat(Record, frozen=True, kw_only=True):
    """A degraded answer, and what the reference said to the same request at zero load. `same`: None, no reference."""

    row: int
    rung: str
    route: str
    reference: str
    reference_rung: str
    same: bool | None


class RunRecord(Record, frozen=True, kw_only=True):
    """Everything about a run but its samples."""

    schema: Literal["loadtest-run/1"] = "loadtest-run/1"
    id: str
    scenario: Scenario
    engine: str
    command: str
    started_at: str
    origin_wall_ns: int = 0
    status: Literal["planned", "complete", "interrupted"] = "planned"
    ended_ns: int = 0
    clock_step_ns: int = 0  # how far the wall clock moved against the monotonic one
    phases: tuple[PhaseRecord, ...] = ()
    criticalities: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    workers: tuple[WorkerHealth, ...] = ()
    faults: tuple[FaultRecord, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    agents: AgentsRecord | None = None
    environment: dict[str, str] = {}
    merged_from: tuple[str, ...] = ()
    looks: int = 1  # how often it is, or may be, judged before it ends: each takes its part of the risk


@dataclass(frozen=True, slots=True)
class Run:
    """A run, with its samples."""

    path: Path
    record: RunRecord
    planned: np.ndarray
    samples: np.ndarray
    payloads: tuple[Payload, ...]


def create(path: Path, record: RunRecord, planned: np.ndarray, payloads: tuple[Payload, ...]) -> None:
    """Write a run that has not begun; the room for its samples is taken now, so that a full disk is told now.

    Raises: RunError: the directory has something in it, or the disk has no room.
    """
    if path.is_dir() and any(path.iterdir()):
        raise RunError(f"{path}: is not empty; name another directory with --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        np.save(path / PLAN, planned)
        np.save(path / SAMPLES, empty(len(planned)))
        write_payloads(path / PAYLOADS, payloads)
        save(path, record)
    except OSError as error:
        discard(path)
        raise RunError(f"{path}: {error.strerror}; a run needs about 130 bytes a request") from error
    except RunError:
        discard(path)
        raise


def discard(path: Path) -> None:
    """Remove a run of which nothing happened, so that its directory can be used again; nothing else that is there."""
    with suppress(OSError):
        for name in (RUN, _NEW, PLAN, SAMPLES, PAYLOADS, METRICS_BEFORE):
            (path / name).unlink(missing_ok=True)
        path.rmdir()


def save(path: Path, record: RunRecord) -> None:
    """Replace `run.json`, whole or not at all. Raises: RunError: the disk has no room."""
    new = path / _NEW
    try:
        new.write_bytes(to_json(record))
        new.replace(path / RUN)
    except OSError as error:
        raise RunError(f"{path / RUN}: cannot be written: {error.strerror}") from error


def with_looks(run: Run, looks: int) -> Run:
    """Put on record that a run is one of so many looks, so that whoever judges it again is as strict."""
    record = msgspec.structs.replace(run.record, looks=looks)
    save(run.path, record)
    return replace(run, record=record)


def open_run(path: Path, *, writable: bool = False) -> Run:
    """Read a run. Raises: RunError: it is none, or its files don't fit together."""
    try:
        record = msgspec.json.decode((path / RUN).read_bytes(), type=RunRecord, dec_hook=decode_quantity)
        planned = np.load(path / PLAN, mmap_mode="r")
        samples = np.load(path / SAMPLES, mmap_mode="r+" if writable else "r")
        payloads = read_payloads(path / PAYLOADS)
    except FileNotFoundError as error:
        raise RunError(f"{path}: holds no run, {Path(error.filename).name} is missing") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read as a run: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, EOFError) as error:
        raise RunError(f"{path}: cannot be read as a run: {error}") from error
    if planned.dtype != PLANNED or samples.dtype != SAMPLE or len(planned) != len(samples):
        raise RunError(f"{path}: planned.npy and samples.npy do not fit together; the run was made by another version")
    return Run(path, record, planned, samples, payloads)
