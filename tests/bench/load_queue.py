"""A queue that theory knows, measured: `python -m tests.bench.load_queue [--json]`.

An echo server that serves one request at a time, for exponential times of 2 ms, under Poisson arrivals of 400/s, is
M/M/1: the time in it is exponential too, 10 ms in the mean and 46.05 ms at p99. A run of a minute is one draw, some per
cent off by chance. So two more stand beside theory: what this very schedule must come to on a server without a clock,
and what the server wrote down. Reported, not judged: tests/simulation does that in virtual time.
"""

from __future__ import annotations

import asyncio
import math

import msgspec
import numpy as np

from loadtest.calibrate import join
from loadtest.echo.process import start_echo
from loadtest.echo.server import Echo
from loadtest.echo.settings import EchoSettings
from loadtest.quantity import MS
from tests.bench import report
from tests.bench.load_measure import LAG_P99_MS, measure, scenario
from tests.bench.server_process import SERVER_CORE

Ms = tuple[float, float]  # mean and p99


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and p99 in ms. `schedule`: of the arrivals and services of this run, both punctual."""

    seed: int
    requests: int
    note: str
    theory: Ms
    schedule: Ms
    server: Ms
    ours: Ms


def run(rate: float, service_ms: float, seconds: float, seed: int, lag_ms: float) -> Found:
    """One draw."""
    settings = EchoSettings(delay=f"exp({service_ms:g}ms)", serial=True, seed=seed)
    with start_echo(settings, (SERVER_CORE,)) as echo:
        made = scenario(echo.url, rate, seconds, arrivals="poisson", warm_up_s=0, lag_p99_ms=lag_ms, seed=seed)
        seen, numbers = measure(made)
        joined = join(seen, echo.truth())
    mean_ms = 1e3 / (1e3 / service_ms - rate)
    return Found(
        seed=seed,
        requests=numbers.requests,
        note="; ".join(numbers.why) or (f"{joined.lost} lost" if joined.lost else ""),
        theory=(mean_ms, mean_ms * math.log(100)),
        schedule=_of(_sojourns_ns(settings, seen.planned["intended_ns"])),
        server=_of(joined.server_ns),
        ours=_of(joined.client_ns),
    )


def _sojourns_ns(settings: EchoSettings, arrivals_ns: np.ndarray) -> np.ndarray:
    """What the server itself would do if every request came at its time, and it had no other work."""
    loop = asyncio.new_event_loop()
    echo = Echo(settings, lambda: 0, loop)
    loop.close()
    return np.array([echo.due_ns(at_ns) - at_ns for at_ns in arrivals_ns.tolist()])


def _of(times_ns: np.ndarray) -> Ms:
    return float(times_ns.mean()) / MS, float(np.percentile(times_ns, 99, method="inverted_cdf")) / MS


def main() -> None:
    """A row for each draw, and the mean of all."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rate", type=float, default=400)
    arguments.add_argument("--service-ms", type=float, default=2)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--lag-ms", type=float, default=LAG_P99_MS, help="p99 of a valid run (default: 1)")
    given = arguments.parse_args()
    if given.rate * given.service_ms >= 1e3:
        arguments.error("--rate and --service-ms: such a queue grows for ever")
    seeds = range(given.seed, given.seed + given.repeats)
    found = [run(given.rate, given.service_ms, given.seconds, seed, given.lag_ms) for seed in seeds]
    names = ("theory", "schedule", "server", "ours")
    rows = [(each.seed, *(_cell(getattr(each, name)) for name in names), each.note) for each in found]
    means = [tuple(float(np.mean([getattr(each, name)[at] for each in found])) for at in (0, 1)) for name in names]
    print("time in the queue and the server: mean / p99, ms")
    report.table(
        ("seed", "theory", "this schedule", "server's books", "takt loadtest", "invalid"),
        [*rows, ("mean", *map(_cell, means), "")],
    )
    theory, ours = means[0], means[-1]
    print(f"off theory: mean {ours[0] / theory[0] - 1:+.1%}, p99 {ours[1] / theory[1] - 1:+.1%}")
    report.write_json("load_queue", given, msgspec.to_builtins(found))


def _cell(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
