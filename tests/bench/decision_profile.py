"""Where the CPU of a whole HTTP decision goes, by package: one process, no sockets, cProfile.

    python -m tests.bench.decision_profile [--requests 4000] [--json]

Requests enter at aiohttp's protocol and leave at a transport that drops them, so the kernel's share is missing. The
shares are cProfile's, which makes many small calls look dearer than they are; the microseconds are those shares of the
CPU time that the same requests take without it. Time in C functions counts for the package that called them.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import os
import pstats
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from router.assembly import build_app
from router.config import load_config
from router.server import make_http
from tests.bench import report
from tests.bench.server_process import NO_QUEUES, models_dir
from tests.bench.traffic import EXAMPLE, unseen_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AT_ONCE = 16
_ROOT = str(Path(__file__).parents[2])


class _Nowhere(asyncio.Transport):
    """Counts answers and drops them."""

    answers = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert bytes(data[:15]) == b"HTTP/1.1 200 OK", bytes(data)
        _Nowhere.answers += 1

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


async def _serve(make: Callable[[], asyncio.Protocol], requests: Iterator[bytes], count: int) -> float:
    """CPU µs a request, of this thread."""
    protocols = [make() for _ in range(_AT_ONCE)]
    for protocol in protocols:
        protocol.connection_made(_Nowhere())
    await asyncio.sleep(0)
    ready = list(islice(requests, count - count % _AT_ONCE))
    began_ns = time.thread_time_ns()
    for start in range(0, len(ready), _AT_ONCE):
        wanted = _Nowhere.answers + _AT_ONCE
        for protocol, data in zip(protocols, ready[start : start + _AT_ONCE], strict=True):
            protocol.data_received(data)
        while _Nowhere.answers < wanted:
            await asyncio.sleep(0)
    return (time.thread_time_ns() - began_ns) / len(ready) / 1e3


async def _profile(folder: str, count: int, seed: int) -> tuple[float, pstats.Stats]:
    overrides = {"TAKT__MODELS__DIR": str(models_dir(("small",))), "TAKT__LOG__PATH": f"{folder}/log.sqlite"}
    overrides |= NO_QUEUES
    app = build_app(load_config(EXAMPLE / "takt.toml", overrides))
    await app.start()
    gc.freeze()
    http, requests, profile = make_http(app), unseen_requests(seed, budget_ms=1_000), cProfile.Profile()
    await _serve(http, requests, count)
    plain_us = min([await _serve(http, requests, count // 4) for _ in range(8)])
    profile.enable()
    await _serve(http, requests, count)
    profile.disable()
    await app.close()
    return plain_us, pstats.Stats(profile)


def _package(file: str) -> str:
    """Who answers for the code in `file`; empty for C functions and generated code, which count for their callers."""
    if file.startswith(("~", "<")):
        return ""
    if not file.startswith(_ROOT):
        _, installed, rest = file.rpartition("site-packages/")
        return rest.partition("/")[0] if installed else "standard library"
    parts = Path(file).relative_to(_ROOT).with_suffix("").parts
    return "/".join(parts[:2]) if parts[0] == "router" else ".".join(parts[:2])


def shares(stats: pstats.Stats) -> Counter[str]:
    """Seconds by package."""
    found: Counter[str] = Counter()
    for (file, _, _), (_, _, own_s, _, callers) in stats.stats.items():  # type: ignore[attr-defined] # untyped
        package = _package(file)
        if package:
            found[package] += own_s
            continue
        for (caller, _, _), (_, _, share_s, _) in callers.items():
            found[_package(caller) or "event loop"] += share_s
    return found


def main() -> None:
    """Print packages, dearest first."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--requests", type=int, default=4_000)
    given = arguments.parse_args()
    os.sched_setaffinity(0, {0})
    with tempfile.TemporaryDirectory() as folder:
        plain_us, stats = uvloop.run(_profile(folder, given.requests, given.seed))
    found = shares(stats)
    del found["tests.bench"], found["event loop"]
    total_s = sum(found.values())
    rows = [(name, f"{own_s / total_s:.1%}", plain_us * own_s / total_s) for name, own_s in found.most_common(24)]
    report.table(("package", "share", "µs a request"), list(rows))
    print(f"{plain_us:.0f} µs of CPU a request without the profiler, the least of eight rounds")
    report.write_json("decision_profile", given, {"us": plain_us, "packages": {name: us for name, _, us in rows}})


if __name__ == "__main__":
    main()
