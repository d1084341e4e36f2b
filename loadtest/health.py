"""Is this run valid? The generator's own limits, checked from the raw data: beyond them, numbers mean nothing."""

from __future__ import annotations

import msgspec
import numpy as np

from loadtest.quantity import MS, S, show_ns
from loadtest.run import Run, RunRecord
from loadtest.sample import NEVER, NOTHING
from loadtest.view import View, quantile_ns

# NTP slews by at most 0.5 ms a second; more in a run of a minute is a step.
_MOST_CLOCK_STEP_NS = 50 * MS
# Of the requests of a phase: so much after its end is still its end.
_GRACE_NS = 10 * MS


class Validity(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator did, and why a run is invalid, if it is."""

    valid: bool
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    lag_p50_ns: float
    lag_p99_ns: float
    lag_max_ns: float
    send_rate: float  # worst phase: share of its requests that were handed over while it lasted
    cpu_share: float  # busiest worker: of one core, spinning not counted
    gc_total: int
    gc_max_ns: int
    waited_share: float  # requests that waited for a free connection
    clock_step_ns: int
    counted: dict[str, int]  # workers' own counters
    written: dict[str, int]  # the same, counted in the samples


def check(run: Run, view: View) -> Validity:
    """Hold a run against its scenario's limits.

    Args: view: all of the run's requests, warm-up included.
    """
    limits, record = run.record.scenario.validity, run.record
    measured = view.on("all")
    lag_ns = measured.lag_ns
    lag_p99_ns = quantile_ns(lag_ns, 0.99)
    cpu_share = max((_busy_share(w.cpu_ns, w.spin_ns, w.wall_ns) for w in record.workers), default=0.0)
    send_rate = min((_send_rate(view, at) for at, phase in enumerate(record.phases) if phase.measure), default=0.0)
    counted, written = _counted(run), _written(run)
    killed = [str(worker.index) for worker in record.workers if worker.ended == "killed"]
    reasons: list[str] = []
    if not len(measured):
        reasons.append("no request was scheduled in a measured phase")
    if lag_p99_ns > limits.lag_p99:
        reasons.append(
            f"the generator was late: p99 of its lag is {show_ns(lag_p99_ns)}, allowed {show_ns(limits.lag_p99)}; "
            + _advice(record, cpu_share, limits.max_generator_cpu)
        )
    if send_rate < limits.send_rate:
        reasons.append(
            f"only {send_rate:.2%} of a phase's requests were handed over in time; {limits.send_rate:.0%} are asked"
        )
    if cpu_share > limits.max_generator_cpu:
        reasons.append(
            f"a generator was busy {cpu_share:.0%} of its core, allowed {limits.max_generator_cpu:.0%}; "
            "add --procs or lower the rate"
        )
    reasons += [f"fault {each.kind} {each.what} went wrong: {each.error}" for each in record.faults if each.error]
    if record.status == "planned":
        reasons.append("the load tester was stopped before the run ended; what was sent until then is there")
    elif killed:
        reasons.append(f"worker {', '.join(killed)} was killed; its samples are there, its counters are lost")
    elif counted != written:
        reasons.append(f"the workers counted {counted}, the samples hold {written}: report this as a bug")
    waited = sum(worker.waited_total for worker in record.workers) / max(1, len(view))
    return Validity(
        valid=not reasons,
        reasons=tuple(reasons),
        notes=tuple(_notes(run, waited)),
        lag_p50_ns=quantile_ns(lag_ns, 0.5),
        lag_p99_ns=lag_p99_ns,
        lag_max_ns=float(lag_ns.max()) if len(lag_ns) else float("nan"),
        send_rate=send_rate,
        cpu_share=cpu_share,
        gc_total=sum(worker.gc_total for worker in record.workers),
        gc_max_ns=max((worker.gc_max_ns for worker in record.workers), default=0),
        waited_share=waited,
        clock_step_ns=record.clock_step_ns,
        counted=counted,
        written=written,
    )


def _advice(record: RunRecord, cpu_share: float, allowed: float) -> str:
    if cpu_share > allowed / 2:
        return f"it was busy {cpu_share:.0%} of its core: lower the rate, or add --procs"
    load, cores = (record.environment.get(key, "unknown") for key in ("load", "cores"))
    return (
        f"it was busy only {cpu_share:.0%}, so others kept it from its core (load {load} on {cores} cores before the "
        "run): stop them, keep server and generator apart (taskset, --pin), or send from another machine; where gates "
        "are far above the lag, which is in every latency, validity.lag_p99 may be larger"
    )


def _busy_share(cpu_ns: int, spin_ns: int, wall_ns: int) -> float:
    return max(0, cpu_ns - spin_ns) / wall_ns if wall_ns else 0.0


def _send_rate(view: View, phase: int) -> float:
    """Share of a phase's requests that were handed over before it ended; of an interrupted run, those until then."""
    record = view.record
    end_ns = record.phases[phase].end_ns
    wanted = view.planned["phase"] == phase
    if record.status == "interrupted":
        end_ns = min(end_ns, record.ended_ns)
        wanted &= view.planned["intended_ns"] < end_ns
    paced_ns = view.sample["paced_ns"][wanted]
    if not len(paced_ns):
        return 1.0
    in_time = (paced_ns != NEVER) & (paced_ns <= end_ns + max(_GRACE_NS, record.scenario.validity.lag_p99))
    return float(in_time.mean())


def _counted(run: Run) -> dict[str, int]:
    workers = run.record.workers
    return {
        "paced": sum(worker.paced_total for worker in workers),
        "sent": sum(worker.sent_total for worker in workers),
        "answered": sum(worker.answered_total for worker in workers),
        "failed": sum(worker.failed_total for worker in workers),
    }


def _written(run: Run) -> dict[str, int]:
    samples = run.samples
    ended = samples["done_ns"] != NEVER
    answered = ended & (samples["first_ns"] != NEVER)
    return {
        "paced": int((samples["paced_ns"] != NEVER).sum()),
        "sent": int((samples["sent_ns"] != NEVER).sum()),
        "answered": int(np.count_nonzero(answered)),
        "failed": int(np.count_nonzero(ended & ~answered & (samples["status"] != NOTHING))),
    }


def _notes(run: Run, waited_share: float) -> list[str]:
    record = run.record
    notes = []
    if record.status == "interrupted":
        notes.append(f"the run was interrupted after {record.ended_ns / S:.1f} s; what was not sent by then is unsent")
    if waited_share > 0.001:  # noqa: PLR2004 - one in a thousand can't move a p99
        notes.append(
            f"{waited_share:.1%} of the requests waited for a free connection ({record.scenario.target.connections} in"
            " all); their wait is in their latency; target.connections raises it"
        )
    if abs(record.clock_step_ns) > _MOST_CLOCK_STEP_NS:
        notes.append(f"the wall clock moved by {show_ns(record.clock_step_ns)} during the run; latencies don't use it")
    longest_ns = max((worker.gc_max_ns for worker in record.workers), default=0)
    if longest_ns > record.scenario.validity.lag_p99:
        notes.append(f"garbage collection held a generator up for {show_ns(longest_ns)}")
    return notes
