"""One run of the load tester as numbers, for the benches of the load tester itself.

They need Linux and two cores: what is measured has one, and what measures the other.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.health import check
from loadtest.quantity import MS, Ns, S
from loadtest.scenario.spec import FaultSpec, PayloadSpec, PhaseSpec, Scenario, TargetSpec, ValiditySpec
from loadtest.view import View, quantile_ns, view
from tests.bench.server_process import GENERATOR_CORE

if TYPE_CHECKING:
    from loadtest.run import Run

# What every tool sends: 200 bytes, the size that the goals for rates are about.
BODY = b'{"id":"00000000-000000000","text":"%b"}' % (b"x" * 163)
_WARM_UP_S = 1.0
LAG_P99_MS = 1.0  # stricter than a scenario's default


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one run, warm-up left out.

    `in_time`: share of the requests that were answered before the last one was due: less means that they pile up.
    `busy` and `cpu_us`: of the generator, of a core and of a request; spinning before a send is left out.
    """

    engine: str
    rate: float
    requests: int
    answered: int
    in_time: float
    valid: bool
    why: tuple[str, ...]
    lag_p50_us: float
    lag_p99_us: float
    busy: float
    cpu_us: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float


class Made(NamedTuple):
    """A run that is over; its files are gone."""

    seen: View
    numbers: Measured


def scenario(
    url: str,
    rate: float,
    seconds: float,
    *,
    arrivals: str = "constant",
    connections: int = 256,
    warm_up_s: float = _WARM_UP_S,
    lag_p99_ms: float = LAG_P99_MS,
    seed: int = 1,
) -> Scenario:
    """One rate against a server that answers anything. Args: lag_p99_ms: of the generator; beyond, a run is invalid."""
    phases = [PhaseSpec(name="steady", arrivals=arrivals, rate=rate, for_=Ns(round(seconds * S)))]
    if warm_up_s:
        warm_up = PhaseSpec(name="warmup", arrivals=arrivals, rate=rate, for_=Ns(round(warm_up_s * S)), measure=False)
        phases.insert(0, warm_up)
    return Scenario(
        name="bench",
        seed=seed,
        target=TargetSpec(url=url, answers="any", connections=connections),
        phases=phases,
        validity=ValiditySpec(lag_p99=Ns(round(lag_p99_ms * MS))),
    )


def frozen(made: Scenario, at_s: float, for_s: float) -> Scenario:
    """The same with the server stopped meanwhile; `measure` needs its process."""
    fault = FaultSpec(at=Ns(round(at_s * S)), for_=Ns(round(for_s * S)), kind="sigstop")
    return msgspec.structs.replace(made, faults=[fault])


def measure(made: Scenario, *, engine: str = "raw", pid: int | None = None) -> Made:
    """Run it with one generator on its own core. Raises: KeyboardInterrupt: it was interrupted."""
    with TemporaryDirectory() as folder:
        payload = write_payload(Path(folder))
        sends = msgspec.structs.replace(made, payload=PayloadSpec(from_=str(payload), label=None))
        options = Options(out=Path(folder, "run"), engine=engine, pin=(GENERATOR_CORE,), pid=pid, command="tests.bench")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(conduct(sends, options))
        if run.record.status != "complete":
            raise KeyboardInterrupt
        return read(run)


def write_payload(folder: Path) -> Path:
    """`BODY` for the load tester, which puts ids of its own before it."""
    path = folder / "payload.jsonl"
    path.write_bytes(b'{"text":"%b"}\n' % msgspec.json.decode(BODY)["text"].encode())
    return path


def read(run: Run) -> Made:
    """The numbers of a run."""
    whole = view(run)
    health, seen, workers = check(run, whole), whole.on("all"), run.record.workers
    last_due_ns = run.record.phases[-1].end_ns
    done = seen.is_answered & (seen.sample["done_ns"] <= last_due_ns)
    latencies = [quantile_ns(seen.latency_ns, q) / MS for q in (0.5, 0.9, 0.99, 0.999)]
    return Made(
        seen,
        Measured(
            engine=run.record.engine,
            rate=len(seen) * S / sum(each.end_ns - each.start_ns for each in run.record.phases if each.measure),
            requests=len(seen),
            answered=int(seen.is_answered.sum()),
            in_time=float(done.mean()),
            valid=health.valid,
            why=health.reasons,
            lag_p50_us=health.lag_p50_ns / 1e3,
            lag_p99_us=health.lag_p99_ns / 1e3,
            busy=health.cpu_share,
            cpu_us=sum(each.cpu_ns - each.spin_ns for each in workers) / len(whole) / 1e3,
            p50_ms=latencies[0],
            p90_ms=latencies[1],
            p99_ms=latencies[2],
            p999_ms=latencies[3],
        ),
    )
