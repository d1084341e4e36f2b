"""Do other load testers see the same? `python -m tests.bench.load_peers [--json]`.

k6 (constant arrival rate, all users made beforehand) and `takt loadtest` by turns, at the same rate, against echo
servers with known delays; beside each stands what its server wrote down itself. Then wrk, in a closed loop against a
constant delay, and `takt loadtest` at the rate that wrk came to. k6 and wrk count from when they send; nobody waits
for a connection here, so that all mean the same.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest.echo.process import start_echo
from loadtest.echo.settings import EchoSettings
from loadtest.quantity import MS
from tests.bench import report
from tests.bench.load_measure import measure, scenario
from tests.bench.load_tools import Missing, Said, k6, wrk
from tests.bench.server_process import SERVER_CORE

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

_SERVERS = {"constant": "5ms", "bimodal": "5ms:95,50ms:5"}  # no quantile is near a step
_OURS = "takt loadtest"
_QUANTILES = (0.5, 0.9, 0.99)
# As of the load tester's own accuracy: a millisecond, or 2 %.
_MOST_MS, _MOST_SHARE = 1.0, 0.02
_WRK_SERVER = "constant"  # wrk corrects quantiles by its mean; where all answers take as long, that changes none
_CONNECTIONS = 5


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One run: 50, 90 and 99 % as the tool says, and as its server wrote them down, in ms."""

    tool: str
    server: str
    per_s: float
    requests: int
    bad: int
    said_ms: tuple[float, ...]
    truth_ms: tuple[float, ...]
    note: str = ""


def see(server: str, ask: Callable[[str], Said]) -> Seen:
    """A run against a new server, whose books hold nothing else. Raises: Missing."""
    with start_echo(EchoSettings(delay=_SERVERS[server]), (SERVER_CORE,)) as echo:
        said = ask(echo.url)
        truth = echo.truth()
    took_ns = truth["answered_ns"] - truth["received_ns"]
    found = np.percentile(took_ns, [100 * q for q in _QUANTILES], method="inverted_cdf") / MS
    return Seen(
        tool=said.tool,
        server=server,
        per_s=said.per_s,
        requests=said.requests,
        bad=said.bad,
        said_ms=said.quantiles_ms[: len(_QUANTILES)],
        truth_ms=tuple(found.tolist()),
        note=said.note,
    )


def takt(url: str, rate: float, seconds: float, lag_ms: float) -> Said:
    """Our own run in the others' words."""
    numbers = measure(scenario(url, rate, seconds, warm_up_s=0, lag_p99_ms=lag_ms)).numbers
    return Said(
        tool=_OURS,
        per_s=numbers.requests / seconds,
        requests=numbers.requests,
        bad=numbers.requests - numbers.answered,
        quantiles_ms=(numbers.p50_ms, numbers.p90_ms, numbers.p99_ms, numbers.p999_ms),
        note="" if numbers.valid else f"INVALID: {numbers.why[0]}",
    )


def against_k6(given: Namespace) -> list[Seen]:
    """Both by turns. Raises: Missing."""
    turns: list[Callable[[str], Said]] = [
        lambda url: takt(url, given.rate, given.seconds, given.lag_ms),
        lambda url: k6(url, given.seconds, given.rate),
    ]
    return [
        see(server, ask)
        for at in range(given.repeats)
        for server in _SERVERS
        for ask in (turns if at % 2 == 0 else reversed(turns))
    ]


def against_wrk(given: Namespace) -> list[Seen]:
    """wrk, then the rate that it came to. Raises: Missing."""
    found = []
    for _ in range(given.repeats):
        theirs = see(_WRK_SERVER, lambda url: wrk(url, given.seconds, _CONNECTIONS))
        rate = round(theirs.per_s)
        found += [theirs, see(_WRK_SERVER, lambda url, rate=rate: takt(url, rate, given.seconds, given.lag_ms))]  # type: ignore[misc]
    return found


def _show(title: str, found: Sequence[Seen]) -> None:
    """Medians over repeats: what is said, and how far that is from the server's truth."""
    print(f"{title}\n")
    rows: list[tuple[object, ...]] = []
    for server, tool in dict.fromkeys((each.server, each.tool) for each in found):
        runs = [each for each in found if (each.server, each.tool) == (server, tool)]
        said, off = _said(runs), _middle([_minus(each.said_ms, each.truth_ms) for each in runs])
        cells = [f"{value:.2f} ({error:+.2f})" for value, error in zip(said, off, strict=True)]
        per_s, valid = statistics.median(each.per_s for each in runs), sum(not each.note for each in runs)
        bad = sum(each.bad for each in runs)
        rows.append((server, tool, f"{per_s:,.0f}", *cells, bad, f"{valid} of {len(runs)}"))
    report.table(
        ("server", "tool", "requests/s", *(f"p{100 * q:g} ms (off)" for q in _QUANTILES), "bad", "valid"), rows
    )
    print()


def _judge(found: Sequence[Seen], other: str) -> None:
    for server in dict.fromkeys(each.server for each in found):
        here = [each for each in found if each.server == server]
        mine = _said([each for each in here if each.tool == _OURS])
        its = _said([each for each in here if each.tool == other])
        limits = [max(_MOST_MS, _MOST_SHARE * value) for value in its]
        off = _minus(mine, its)
        told = ", ".join(f"p{100 * q:g} {value:+.2f} ms" for q, value in zip(_QUANTILES, off, strict=True))
        is_met = all(abs(value) <= limit for value, limit in zip(off, limits, strict=True))
        report.verdict(f"{server}: {_OURS} and {other} agree within 1 ms or 2 %: {told}", is_met=is_met)
    for why in dict.fromkeys(each.note for each in found if each.note):
        print(why)
    print()


def _said(runs: Sequence[Seen]) -> tuple[float, ...]:
    return _middle([each.said_ms for each in runs])


def _middle(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Column by column, the median."""
    return tuple(statistics.median(column) for column in zip(*rows, strict=True))


def _minus(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def main() -> None:
    """A table and the goals for each of the two."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--rate", type=float, default=500)
    arguments.add_argument("--seconds", type=float, default=20)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--lag-ms", type=float, default=1.0, help="p99 of a valid run of ours (default: 1)")
    given = arguments.parse_args()
    results = {}
    for other, run in (("k6", against_k6), ("wrk", against_wrk)):
        try:
            found = run(given)
        except Missing as missing:
            print(missing)
            continue
        _show(f"{_OURS} beside {other}", found)
        _judge(found, other)
        results[other] = msgspec.to_builtins(found)
    report.write_json("load_peers", given, results)


if __name__ == "__main__":
    main()
