"""One run of the load tester against one server. A part of `tests.bench.overload`.

A run that the load tester calls invalid, or during which more than 2 % of the machine's time was stolen by other
guests, is made again, three times in all; what is still invalid then is shown as `-`.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import uvloop

from loadtest.conductor import Options, conduct
from loadtest.health import check
from loadtest.run import METRICS_AFTER, METRICS_BEFORE
from loadtest.view import View, view
from tests.bench.baselines import EXPECTED_MS, TIMEOUT_MS
from tests.bench.overload_bank import MODELS, write_texts
from tests.bench.overload_plan import Plan, mixing, scenario
from tests.bench.server_process import GENERATOR_CORE, NO_QUEUES, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from loadtest.run import Run
    from loadtest.scenario.spec import Scenario

_TRIES = 3
_MOST_STEAL = 0.02
_POLL_S = 0.01
_STEAL, _FIRST_TIMES = 7, 8  # columns of the first line of /proc/stat (proc_stat(5)), without its name


class Trouble(NamedTuple):
    """Something that lasts a while and that the load tester knows nothing of; `at_s` from the first request on."""

    at_s: float
    for_s: float
    cause: Callable[[ServerProcess], AbstractAsyncContextManager[None]]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `trouble_ns`: when a trouble began and ended, from the start of the run."""

    whole: View
    why_invalid: tuple[str, ...]
    before: str  # /metrics
    after: str
    trouble_ns: tuple[int, int] | None

    @property
    def measured(self) -> View:
        return self.whole.on("all")

    def grown(self, metric: str, **labels: str) -> float:
        """By how much a counter grew."""
        return reading(self.after, metric, **labels) - reading(self.before, metric, **labels)

    @property
    def wasted_share(self) -> float:
        """Of the executor's time, what went into answers that nobody waited for any more."""
        used, wasted = (self.grown("takt_executor_seconds_total", use=use) for use in ("used", "wasted"))
        return wasted / max(used + wasted, 1e-9)


@contextmanager
def server(
    kind: str, environment: dict[str, str] | None = None, *, timeout_ms: float = 1e4, expected_ms: float = 1.0
) -> Iterator[ServerProcess]:
    """A server of that kind with the bank's models and a log in a temporary directory."""
    with TemporaryDirectory() as folder:
        settings = {
            "TAKT__MODELS__DIR": str(MODELS), "TAKT__LOG__PATH": str(Path(folder, "takt.sqlite")),
            TIMEOUT_MS: f"{timeout_ms}", EXPECTED_MS: f"{expected_ms}", **NO_QUEUES,
        }  # fmt: skip
        with ServerProcess(kind, **(settings | (environment or {}))) as process:
            yield process


def until_valid(once: Callable[[], Seen]) -> Seen:
    """The first valid run of three, or else the last."""
    for _ in range(_TRIES):
        seen = once()
        if not seen.why_invalid:
            break
        print(f"  invalid: {'; '.join(seen.why_invalid)[:160]}", flush=True)
    return seen


def run(process: ServerProcess, plan: Plan) -> Seen:
    """The same, of a server that is still there."""
    return until_valid(lambda: run_once(process, plan))


def run_once(process: ServerProcess, plan: Plan, trouble: Trouble | None = None, out: Path | None = None) -> Seen:
    """One run, valid or not; with `out` it is kept there."""
    with TemporaryDirectory() as folder:
        path = out or Path(folder, "run")
        made = scenario(process.url, plan, write_texts(Path(folder)))
        options = Options(out=path, pin=(GENERATOR_CORE,), pid=process.pid, command="python -m tests.bench.overload")
        before = _times()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, mixing(plan):
            done, trouble_ns = runner.run(_conduct(made, options, trouble, process))
        times = [now - then for now, then in zip(_times(), before, strict=True)]
        if done.record.status != "complete":
            raise KeyboardInterrupt
        whole = view(done)
        reasons = check(done, whole).reasons
        if (stolen := times[_STEAL] / max(1, sum(times))) > _MOST_STEAL:
            reasons += (f"{stolen:.1%} of the machine's time was stolen",)
        return Seen(
            whole=whole,
            why_invalid=reasons,
            before=_page(path / METRICS_BEFORE),
            after=_page(path / METRICS_AFTER),
            trouble_ns=trouble_ns,
        )


async def _conduct(
    made: Scenario, options: Options, trouble: Trouble | None, process: ServerProcess
) -> tuple[Run, tuple[int, int] | None]:
    if trouble is None:
        return await conduct(made, options), None
    beside = asyncio.create_task(_make(trouble, options.out / METRICS_BEFORE, process))
    try:
        done = await conduct(made, options)
        began_ns, ended_ns = await beside
    finally:
        beside.cancel()
    origin_ns = done.record.origin_wall_ns
    return done, (began_ns - origin_ns, ended_ns - origin_ns)


async def _make(trouble: Trouble, begun: Path, process: ServerProcess) -> tuple[int, int]:
    """Wait for the run to begin, then make trouble. Returns: the wall clock at its beginning and its end."""
    while not begun.exists():  # noqa: ASYNC240 - a look at a local file, before anything is measured
        await asyncio.sleep(_POLL_S)
    await asyncio.sleep(trouble.at_s)
    began_ns = time.time_ns()
    async with trouble.cause(process):
        await asyncio.sleep(trouble.for_s)
    return began_ns, time.time_ns()


def reading(page: str, metric: str, **labels: str) -> float:
    """Sum of a metric's lines with these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    lines = re.findall(rf"^{metric}(\{{[^}}]*\}})? (\S+)$", page, re.MULTILINE)
    return sum(float(value) for found, value in lines if all(each in found for each in wanted))


def _page(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _times() -> list[int]:
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    return [int(each) for each in first.split()[1 : 1 + _FIRST_TIMES]]
