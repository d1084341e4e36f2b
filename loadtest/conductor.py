"""A run from its scenario to its files: the parent process, which sends nothing itself.

scenario ─► schedule ─► files ─► server? ─► proxy? ─► generators ready ─► GO
                                                         │ samples.npy (shared memory)
          faults at their times ─────────────────────────┤
          live view, reading along ──────────────────────┤
          Ctrl-C: stop, and keep what there is ──────────┘
─► faults cleared ─► routes of all generators in one table ─► degraded answers asked for again ─► run.json
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from budgets.clock import SystemClock
from loadtest.agents.crowd import Crowd
from loadtest.crew import Alone, Crew, Workers
from loadtest.errors import Interrupted, ScenarioError
from loadtest.fault.exchange import exchange
from loadtest.gate.expression import Agreement, parse
from loadtest.interrupt import Interrupts
from loadtest.live import watch
from loadtest.payload import load_payloads
from loadtest.quality.client import Client
from loadtest.quality.replay import replay
from loadtest.quantity import MS
from loadtest.record import MAX_ROUTES, OTHER_ROUTE
from loadtest.run import (
    METRICS_AFTER,
    METRICS_BEFORE,
    Run,
    RunRecord,
    WorkerHealth,
    create,
    discard,
    open_run,
    save,
)
from loadtest.sample import NEVER
from loadtest.schedule import plan
from loadtest.stage import Stage
from loadtest.wire import BadHttp

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.engine.inproc import Target
    from loadtest.live import Mode
    from loadtest.scenario.spec import Scenario

# Between "go" and the first request, so that every generator has heard it.
_LEAD_NS = 200 * MS
# Of each rung, for a gate on agreement where the scenario says no number: half of a 95 % interval is then below 0.07.
_REPEATED = 200
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scenario is run; what is run is the scenario's.

    pid: of the server, for `sigstop`, where `target.start` does not start it.
    target: for the engine `inproc`.
    token: the server's admin token, for its faults; written nowhere.
    """

    out: Path
    engine: str = "raw"
    procs: int = 1
    pin: tuple[int, ...] = ()
    pid: int | None = None
    token: str | None = None
    live: Mode = "off"
    command: str = ""
    target: Target | None = None


async def conduct(scenario: Scenario, options: Options) -> Run:
    """Run a scenario and write it to `options.out`.

    Returns: the run; its status is `interrupted` after SIGINT or SIGTERM, and everything until then is in it.
    Raises: LoadtestError: nothing was measured, and nothing is left in `options.out`; or Interrupted.
    """
    if (options.engine == "inproc") != (options.target is not None):
        raise ScenarioError("--engine inproc needs a target in this process, and no other engine takes one")
    if scenario.agents is not None and options.target is not None:
        raise ScenarioError("agents: they sign in to a server; --engine inproc has none")
    scenario = _repeating(scenario)
    payloads = load_payloads(scenario.payload)
    schedule = plan(scenario, len(payloads), scenario.seed)
    record = RunRecord(
        id=secrets.token_hex(4),
        scenario=scenario,
        engine=options.engine,
        command=options.command,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        phases=schedule.phases,
        criticalities=schedule.criticalities,
        channels=schedule.channels,
        environment=environment(),
    )
    stage = Stage(scenario, options.pid, options.token, options.target)
    create(options.out, record, schedule.planned, payloads)
    with Interrupts() as interrupts:
        try:
            await _stage(options, stage, interrupts)
        except BaseException as error:
            begun = bool((open_run(options.out).samples["paced_ns"] != NEVER).any())
            if not begun:
                discard(options.out)
            if isinstance(error, asyncio.CancelledError) and interrupts.heard:
                left = f"what there is: takt loadtest report {options.out}" if begun else "nothing was measured"
                raise Interrupted(f"interrupted; {left}") from None
            raise
    return open_run(options.out)


async def _stage(options: Options, stage: Stage, interrupts: Interrupts) -> None:
    """All that happens between the first and the last version of `run.json`."""
    async with stage, AsyncExitStack() as stack:
        run = open_run(options.out, writable=True)
        crew: Crew = (
            Workers(run, options.procs, stage.url, options.pin)
            if options.target is None
            else Alone(run, options.target)
        )
        stack.push_async_callback(crew.close)
        await crew.ready()
        await _keep_metrics(run, options, METRICS_BEFORE)
        crowd = None
        if run.record.scenario.agents is not None:
            crowd = Crowd(
                run.record.scenario.agents, run.record.scenario.target.url, stage.headers, run.record.scenario.seed
            )
            await stack.enter_async_context(crowd)
        record = await _perform(run, crew, stage, options.live, interrupts)
        if crowd is not None:
            record = msgspec.structs.replace(record, agents=await crowd.leave())
        save(options.out, record)
        await _keep_metrics(run, options, METRICS_AFTER)
        if record.status == "complete" and record.scenario.quality.replay:
            ask = Client(record.scenario).ask if options.target is None else options.target.ask
            repeats = await replay(open_run(options.out), ask)
            save(options.out, msgspec.structs.replace(record, repeats=repeats))


async def _keep_metrics(run: Run, options: Options, name: str) -> None:
    """What the server counted so far, for the run's history; one that does not tell is no error."""
    target = run.record.scenario.target
    if options.target is not None or target.answers != "takt":
        return
    with suppress(OSError, BadHttp):
        response = await exchange("GET", f"{target.url.rstrip('/')}/metrics", headers=target.headers)
        if response.status == _OK:
            await asyncio.to_thread((options.out / name).write_bytes, response.body)


async def _perform(run: Run, crew: Crew, stage: Stage, live: Mode, interrupts: Interrupts) -> RunRecord:
    """Let everything go at the same origin, and wait until all have ended."""
    clock, ended = SystemClock(), asyncio.Event()
    origin_ns, origin_wall_ns = clock.now_ns() + _LEAD_NS, clock.wall_ns() + _LEAD_NS
    with interrupts.calling(crew.stop):
        crew.go(origin_ns)
        async with asyncio.TaskGroup() as beside:
            faults = beside.create_task(stage.play(clock, origin_ns, ended))
            beside.create_task(watch(run, lambda: clock.now_ns() - origin_ns, ended, live))
            try:
                workers = await crew.finished()
            finally:
                ended.set()
    ended_ns = clock.now_ns() - origin_ns
    return msgspec.structs.replace(
        run.record,
        status="interrupted" if interrupts.heard else "complete",
        origin_wall_ns=origin_wall_ns,
        ended_ns=ended_ns,
        clock_step_ns=clock.wall_ns() - origin_wall_ns - ended_ns,
        workers=workers,
        routes=_share_routes(run, workers),
        faults=faults.result(),
    )


def _share_routes(run: Run, workers: tuple[WorkerHealth, ...]) -> tuple[str, ...]:
    """Number the routes of all workers alike, in the samples too. Row i is of worker i % count."""
    names: dict[str, int] = {}
    for worker in workers:
        for name in worker.routes:
            names.setdefault(name if len(names) < MAX_ROUTES else OTHER_ROUTE, len(names))
    for worker in workers:
        routes = run.samples["route"][worker.index :: len(workers)]
        same = np.array([names.get(name, names.get(OTHER_ROUTE)) for name in worker.routes], np.int16)
        known = (routes != NEVER) & (routes < len(same))
        routes[known] = same[routes[known]]
        routes[~known] = NEVER
    return tuple(names)


def _repeating(scenario: Scenario) -> Scenario:
    """A gate on agreement needs answers that are asked for again."""
    asks = any(isinstance(each.metric, Agreement) for gate in scenario.gates for each in parse(gate.expr))
    if scenario.quality.replay or not asks:
        return scenario
    return msgspec.structs.replace(scenario, quality=msgspec.structs.replace(scenario.quality, replay=_REPEATED))


def environment() -> dict[str, str]:
    """What a reader of the report wants to know of the machine."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "takt": _version("takt"),
        "numpy": np.__version__,
        "uvloop": _version("uvloop"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path
        return "not installed"
