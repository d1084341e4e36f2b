"""Models that change under open load: is anything lost, or late because of it?

    python -m tests.bench.swaps [--requests 100000] [--rate 500] [--swaps 20] [--models DIR] [--json]

A server process, requests with a budget of 50 ms and texts never seen before, and versions of the example bank's models
that take turns by `POST /v1/admin/models/activate`. A swap's time is from its request to one second after its answer.
Latency counts from when a request was due, at the client. Late requests during swaps are compared with those outside:
if swaps cost nothing, the late ones fall into them as often as all requests do, and `chance` says how often that alone
would give as many. How much later the generator sent them itself, and how many the server knew to be late, stand beside
it: the rest lost their time on the way, which on a shared machine is the wait for a core.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import msgspec
import uvloop

from models import canary, store
from models.data import read_csv
from models.spec import read_manifest, write_manifest
from tests.bench import report
from tests.bench.open_loop import Reply, decode, open_loop, quantiles_ms
from tests.bench.server_process import NO_QUEUES, ServerProcess, models_dir, pin_generator
from tests.bench.traffic import EXAMPLE, unseen_requests

if TYPE_CHECKING:
    import argparse

BUDGET_MS = 50.0
_AFTER_NS = 1_000_000_000
_CANARY_TEXTS = 200
_SETTLED_SHARE = 0.25  # of the swaps, after which memory must not grow any more
_GROWTH_SHARE = 0.05


class Seen(msgspec.Struct):
    """What is kept of a request."""

    due_ns: int
    latency_ns: int
    generator_ns: int
    is_ok: bool
    is_late_at_server: bool
    degraded: str
    problem: str = ""


class Swap(msgspec.Struct):
    """One activation, and the server's memory after it."""

    began_ns: int
    ended_ns: int
    took_ms: float
    rss_bytes: int = 0


class Part(msgspec.Struct):
    """The requests during swaps, or the others."""

    requests: int
    failed: int
    late: int
    late_at_server: int
    degraded: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_p999_ms: float


def two_versions(folder: Path, given: Path) -> list[str]:
    """A store with the bank's models twice, at temperatures that differ a little, and the bank's tests as canary."""
    canary_rows = [(row.text, row.route) for row in read_csv(EXAMPLE / "test.csv")][:_CANARY_TEXTS]
    names = []
    for warmer in (1.0, 1.01):
        with store.stage(folder) as staging:
            shutil.copytree(given, staging, dirs_exist_ok=True)
            manifest = read_manifest(staging)
            specs = tuple(
                msgspec.structs.replace(rung, temperature=rung.temperature * warmer) for rung in manifest.rungs
            )
            write_manifest(staging, msgspec.structs.replace(manifest, rungs=specs))
            (staging / canary.CANARY_FILE).write_bytes(msgspec.json.encode(canary_rows))
            names.append(store.commit(folder, staging).id)
    store.activate(folder, names[0])
    return names


def _activate(url: str, version: str) -> Swap:
    """Raises: HTTPError: it was refused."""
    body = msgspec.json.encode({"version": version})
    began_ns = time.monotonic_ns()
    asked = Request(f"{url}/v1/admin/models/activate", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        took_ms = msgspec.json.decode(answer.read())["took_ms"]
    return Swap(began_ns, time.monotonic_ns(), took_ms)


def _seen(reply: Reply) -> Seen:
    if reply.status != 200:
        problem = reply.body.decode()[:200] or "the connection broke"
        return Seen(reply.due_ns, reply.latency_ns, reply.late_ns, False, False, "", problem)
    answer = decode(reply.body)
    is_late = answer.budget.elapsed_ms > BUDGET_MS
    return Seen(reply.due_ns, reply.latency_ns, reply.late_ns, True, is_late, answer.degraded)


async def _run(server: ServerProcess, names: list[str], given: argparse.Namespace) -> tuple[list[Seen], list[Swap]]:
    seen: list[Seen] = []
    swaps: list[Swap] = []
    seconds = given.requests / given.rate
    requests = unseen_requests(given.seed, BUDGET_MS)
    load = open_loop(
        server.url, requests, given.rate, seconds, lambda reply: seen.append(_seen(reply)), seed=given.seed
    )
    began_s = time.monotonic()
    task = asyncio.create_task(load)
    for number in range(1, given.swaps + 1):
        await asyncio.sleep(max(0.0, began_s + seconds * number / (given.swaps + 1) - time.monotonic()))
        swap = await asyncio.to_thread(_activate, server.url, names[number % len(names)])
        swap.rss_bytes = server.rss_bytes()
        swaps.append(swap)
    await task
    return seen, swaps


def _part(seen: list[Seen]) -> Part:
    latencies_ns = [each.latency_ns for each in seen]
    p50_ms, p99_ms, p999_ms, max_ms = quantiles_ms(latencies_ns, 0.5, 0.99, 0.999, 1.0)
    return Part(
        requests=len(seen),
        failed=sum(not each.is_ok for each in seen),
        late=sum(each.latency_ns > BUDGET_MS * 1e6 for each in seen),
        late_at_server=sum(each.is_late_at_server for each in seen),
        degraded=sum(each.is_ok and each.degraded != "none" for each in seen),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        p999_ms=p999_ms,
        max_ms=max_ms,
        generator_p999_ms=quantiles_ms([each.generator_ns for each in seen], 0.999)[0],
    )


def _chance(during: Part, outside: Part) -> float:
    """How often so many of the late requests or more would fall into swaps by chance: a binomial tail."""
    late, share = during.late + outside.late, during.requests / (during.requests + outside.requests)
    return sum(comb(late, k) * share**k * (1 - share) ** (late - k) for k in range(during.late, late + 1))


def main() -> None:
    """Print requests during swaps and outside, swaps and memory, then the goals."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--requests", type=int, default=100_000)
    arguments.add_argument("--rate", type=float, default=500)
    arguments.add_argument("--swaps", type=int, default=20)
    arguments.add_argument("--models", metavar="DIR", help="a version to use in place of one with a tiny encoder")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        version = Path(given.models) if given.models else models_dir(("small", "large"))
        names = two_versions(Path(folder, "models"), version)
        log_path = Path(folder, "log.sqlite")
        with ServerProcess(
            "takt", TAKT__MODELS__DIR=f"{folder}/models", TAKT__LOG__PATH=str(log_path), **NO_QUEUES
        ) as server:
            pin_generator()
            before_bytes = server.rss_bytes()
            seen, swaps = uvloop.run(_run(server, names, given))
    spans = [(swap.began_ns, swap.ended_ns + _AFTER_NS) for swap in swaps]
    inside = [each for each in seen if any(began <= each.due_ns < ended for began, ended in spans)]
    others = [each for each in seen if not any(began <= each.due_ns < ended for began, ended in spans)]
    during, outside = _part(inside), _part(others)
    report.table(
        ("requests", "count", "failed", "late", "at server", "degraded", "p50 ms", "p99", "p99.9", "max", "gen. p99.9"),
        [(name, *msgspec.structs.astuple(part)) for name, part in (("during swaps", during), ("outside", outside))],
    )
    for problem, count in Counter(each.problem for each in seen if each.problem).items():
        print(f"{count} × {problem}")
    took_ms = quantiles_ms([round(swap.took_ms * 1e6) for swap in swaps], 0.5, 1.0)
    settled = swaps[int(len(swaps) * _SETTLED_SHARE)].rss_bytes
    growth = swaps[-1].rss_bytes / settled - 1
    chance = _chance(during, outside)
    print(
        f"{len(swaps)} swaps, {took_ms[0]:.0f} ms each (at most {took_ms[1]:.0f}); chance {chance:.2f}; memory"
        f" {before_bytes / 1e6:.0f} MB before, {settled / 1e6:.0f} settled, {swaps[-1].rss_bytes / 1e6:.0f} at the end"
    )
    report.verdict("no request failed", is_met=during.failed + outside.failed == 0)
    report.verdict("none was late because of a swap", is_met=during.late == 0 or chance > 0.05)
    report.verdict(f"memory grows by at most {_GROWTH_SHARE:.0%} over the swaps", is_met=growth <= _GROWTH_SHARE)
    result = {
        "during": during, "outside": outside, "swaps": swaps, "chance": chance, "before_bytes": before_bytes,
        "late_during_per_1000": 1e3 * during.late / during.requests,
        "late_outside_per_1000": 1e3 * outside.late / outside.requests,
    }  # fmt: skip
    report.write_json("swaps", given, msgspec.to_builtins(result))


if __name__ == "__main__":
    main()
