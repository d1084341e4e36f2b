"""How many requests a second one generator sends to its schedule: `python -m tests.bench.load_rate [--json]`.

Both engines climb fixed rates against two servers on the other core: an empty aiohttp echo, and the load tester's own
echo, which bears more. A rate is valid where p99 of the lag is at most 1 ms, 99 % were handed over in time and the
generator was busy for less than 85 % of its core; it counts where the server answered 99 % of it meanwhile too. wrk and
Locust's FastHttpUser ask the same servers as fast as they answer. Everything is repeated in turns; tables show medians
and ranges. CPU is without spinning.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from tests.bench import report
from tests.bench.load_measure import LAG_P99_MS, Measured, measure, scenario
from tests.bench.load_tools import Missing, Said, locust, wrk
from tests.bench.server_process import SERVER_CORE, ServerProcess

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

_ENGINES = ("raw", "aiohttp")
_AIOHTTP_ECHO, _OWN_ECHO = "aiohttp echo", "own echo"
_RATES = (1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 14_000, 16_000, 20_000, 24_000)
_LAG_RATE = 2_000
_IN_TIME_SHARE = 0.99
_MISSES = 2  # rates that don't count, one after another, end a climb
_USERS = 64
# G6 and G7, docs/load-testing.md.
_LAG_P50_US, _LAG_P99_US, _RATE_GOAL, _ENGINES_GOAL, _LOCUST_GOAL = 50.0, 1_000.0, 8_000.0, 2.0, 0.5


class Contender(NamedTuple):
    """Who asks whom."""

    tool: str
    server: str


class Results(msgspec.Struct):
    """Of each contender: for engines, the climbs; for tools, requests per second. One entry a repeat."""

    climbs: dict[Contender, list[list[Measured]]] = msgspec.field(default_factory=lambda: defaultdict(list))
    closed: dict[Contender, list[Said]] = msgspec.field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = {}

    def highest(self, contender: Contender) -> list[float]:
        return [max((m.rate for m in climb if counts(m)), default=0.0) for climb in self.climbs[contender]]

    def at(self, contender: Contender, rate: float) -> list[Measured]:
        return [m for climb in self.climbs[contender] for m in climb if round(m.rate) == rate]


def counts(measured: Measured) -> bool:
    """The generator kept to its schedule, and the server kept up."""
    return measured.valid and measured.in_time >= _IN_TIME_SHARE


def climb(engine: str, url: str, given: Namespace) -> list[Measured]:
    """Up, until two rates in a row don't count. Each is asked twice before that: others take a core now and then."""
    found: list[Measured] = []
    misses = 0
    for rate in given.rates:
        made = scenario(url, rate, given.seconds, lag_p99_ms=given.lag_ms)
        for _ in range(2):
            found.append(measure(made, engine=engine).numbers)
            if counts(found[-1]):
                break
        misses = 0 if counts(found[-1]) else misses + 1
        if misses == _MISSES:
            break
    return found


def _repeat(urls: dict[str, str], given: Namespace, results: Results, began_s: float) -> None:
    """Everybody once."""
    tools: dict[str, Callable[[str], Said]] = {
        "wrk": lambda url: wrk(url, given.seconds, _USERS),
        "locust": lambda url: locust(url, given.seconds, _USERS),
    }
    for server, url in urls.items():
        for engine in _ENGINES:
            found = climb(engine, url, given)
            results.climbs[Contender(engine, server)].append(found)
            best = max((each.rate for each in found if counts(each)), default=0)
            report.pace(f"{engine} against {server}: {best:,.0f}/s", began_s)
        for tool, ask in tools.items():
            try:
                said = ask(url)
            except Missing as missing:
                results.missing[tool] = str(missing)
                continue
            results.closed[Contender(tool, server)].append(said)
            report.pace(f"{tool} against {server}: {said.per_s:,.0f}/s", began_s)


def _show(results: Results) -> None:
    rows: list[tuple[object, ...]] = []
    for contender, climbs in results.climbs.items():
        highest = results.highest(contender)
        middle = results.at(contender, _closest(statistics.median(highest), climbs))
        cost = statistics.median(each.cpu_us for each in middle)
        rows.append((*contender, "to a schedule", _range(highest), f"{cost:.0f}", _limit(climbs)))
    for contender, said in results.closed.items():
        rows.append((*contender, "closed loop", _range([each.per_s for each in said]), "", ""))
    report.table(("tool", "server", "how", "requests/s", "CPU µs a request", "what ended most climbs"), rows)
    print(f"\nschedule lag at {_LAG_RATE:,}/s")
    rows = []
    for contender in results.climbs:
        found = results.at(contender, _LAG_RATE)
        if found:
            p50, p99 = ([getattr(each, name) for each in found] for name in ("lag_p50_us", "lag_p99_us"))
            cost = statistics.median(each.cpu_us for each in found)
            rows.append((*contender, _range(p50), _range(p99), f"{cost:.0f}"))
    report.table(("engine", "server", "lag p50 µs", "lag p99 µs", "CPU µs a request"), rows)
    print()


def _judge(results: Results) -> dict[str, float]:
    """Say which goals are met. Returns: the ratios, of medians over repeats."""
    ratios: dict[str, float] = {}
    for server in (_AIOHTTP_ECHO, _OWN_ECHO):
        raw = results.highest(Contender("raw", server))
        others = {"aiohttp": results.highest(Contender("aiohttp", server))}
        others |= {tool: [s.per_s for s in results.closed[Contender(tool, server)]] for tool in ("wrk", "locust")}
        for tool, rates in others.items():
            if rates and all(rates):
                ratios[f"raw / {tool}, {server}"] = statistics.median(
                    mine / its for mine, its in zip(raw, rates, strict=True)
                )
    report.table(("ratio of requests/s in the same repeat", "median"), list(ratios.items()))
    print()
    own = Contender("raw", _OWN_ECHO)
    at_lag_rate = results.at(own, _LAG_RATE)
    if at_lag_rate:
        p50, p99 = (statistics.median(getattr(m, f"lag_{q}_us") for m in at_lag_rate) for q in ("p50", "p99"))
        report.verdict(
            f"at {_LAG_RATE:,}/s the lag is at most {_LAG_P50_US:g} µs at p50 and 1 ms at p99",
            is_met=p50 <= _LAG_P50_US and p99 <= _LAG_P99_US,
        )
    highest = statistics.median(results.highest(own))
    report.verdict(f"at least {_RATE_GOAL:,.0f}/s from one core", is_met=highest >= _RATE_GOAL)
    engines = ratios.get(f"raw / aiohttp, {_OWN_ECHO}", 0.0)
    report.verdict(f"raw at least {_ENGINES_GOAL:g} times the engine aiohttp", is_met=engines >= _ENGINES_GOAL)
    for tool, why in results.missing.items():
        print(f"{tool} was left out: {why}")
    if "locust" not in results.missing:
        locusts = ratios.get(f"raw / locust, {_OWN_ECHO}", 0.0)
        report.verdict(f"at least {_LOCUST_GOAL:g} times Locust's closed loop", is_met=locusts >= _LOCUST_GOAL)
    return ratios


def _closest(rate: float, climbs: list[list[Measured]]) -> float:
    return min((round(each.rate) for each in climbs[0]), key=lambda tried: abs(tried - rate))


def _limit(climbs: list[list[Measured]]) -> str:
    """Why the last rate of a climb did not count, most often."""
    reasons = [
        each.why[0].split(";")[0].split(":")[0] if each.why else f"the server answered {each.in_time:.0%} in time"
        for each in (climb[-1] for climb in climbs)
        if not counts(each)
    ]
    return statistics.mode(reasons) if reasons else "no higher rate was tried"


def _range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} [{min(values):,.0f}, {max(values):,.0f}]"


def _plain(results: Results) -> object:
    """For JSON, whose keys are texts."""
    return {
        "climbs": {" against ".join(key): value for key, value in results.climbs.items()},
        "closed": {" against ".join(key): value for key, value in results.closed.items()},
        "missing": results.missing,
    }


def main() -> None:
    """The repeats, then tables and goals."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rates", type=int, nargs="+", default=_RATES, help="to climb (default: 1,000 to 24,000)")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=5, help="of each rate (default: 5)")
    arguments.add_argument("--lag-ms", type=float, default=LAG_P99_MS, help="p99 of a valid run (default: 1)")
    given = arguments.parse_args()
    results, began_s = Results(), time.monotonic()
    for _ in range(given.repeats):
        with ExitStack() as servers:
            urls = {
                _AIOHTTP_ECHO: servers.enter_context(ServerProcess("echo")).url,
                _OWN_ECHO: servers.enter_context(start_echo(EchoSettings(), (SERVER_CORE,))).url,
            }
            _repeat(urls, given, results, began_s)
    _show(results)
    ratios = _judge(results)
    report.write_json("load_rate", given, {"ratios": ratios, **msgspec.to_builtins(_plain(results))})


if __name__ == "__main__":
    main()
