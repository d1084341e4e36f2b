"""kill -9 under load, again and again on one log: it opens, no record is torn, and only the last moment is lost.

    python -m tests.bench.crash [--kills 20] [--rate 500] [--json]

Each decision that a client was answered must be in the log, but for those answered within 50 ms before the kill
(docs: durability). A disk that is slow to flush stretches that window: the loss is shown with the slowest commit.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from router.log import DecisionRecord
from tests.bench import report
from tests.bench.open_loop import Reply, decode, open_loop
from tests.bench.server_process import pin_generator, takt
from tests.bench.traffic import unseen_requests

if TYPE_CHECKING:
    import argparse

ALLOWED_MS = 50.0
_LOAD_S = (1.0, 2.5)


class Crash(msgspec.Struct):
    """One kill: what had been answered before it, what the log lacks, how far back that reaches."""

    answered: int
    lost: int
    lost_ms: float


async def _kill_under_load(log: Path, given: argparse.Namespace, number: int) -> tuple[list[Reply], int]:
    replies: list[Reply] = []
    rng = random.Random(given.seed * 1_000 + number)
    with takt(log) as server:
        requests = unseen_requests(given.seed * 1_000 + number)
        load = asyncio.create_task(open_loop(server.url, requests, given.rate, 60, replies.append))
        await asyncio.sleep(rng.uniform(*_LOAD_S))
        killed_ns = time.monotonic_ns()
        server.kill()
        load.cancel()
        await asyncio.wait((load,))
    return [reply for reply in replies if reply.status == 200 and reply.done_ns <= killed_ns], killed_ns


def _kept(log: Path) -> set[str]:
    """Ids in the log. Raises: AssertionError: the file is damaged; msgspec.DecodeError: a record is torn."""
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute("SELECT decision_id, record FROM decisions").fetchall()
    for decision_id, record in rows:
        assert msgspec.msgpack.decode(record, type=DecisionRecord).decision_id == decision_id
    return {decision_id for decision_id, _ in rows}


def main() -> None:
    """Kill, look, start again on the same file."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--rate", type=float, default=500)
    given = arguments.parse_args()
    crashes = []
    answered: set[str] = set()
    missing: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.sqlite")
        pin_generator()
        for number in range(given.kills):
            replies, killed_ns = uvloop.run(_kill_under_load(log, given, number))
            kept = _kept(log)
            ids = {decode(reply.body).decision_id: reply.done_ns for reply in replies}
            lost = {name: done_ns for name, done_ns in ids.items() if name not in kept}
            answered |= ids.keys()
            missing |= lost.keys()
            reaches_ms = (killed_ns - min(lost.values())) / 1e6 if lost else 0.0
            crashes.append(Crash(len(ids), len(lost), reaches_ms))
        assert answered - missing <= _kept(log), "a record that was there after one crash is gone after another"
    reach = [crash.lost_ms for crash in crashes]
    report.table(
        ("kill", "answered", "not in the log", "answered so long before the kill, ms"),
        [(number + 1, crash.answered, crash.lost, crash.lost_ms) for number, crash in enumerate(crashes)],
    )
    print(f"loss reaches back: median {statistics.median(reach):.1f} ms, longest {max(reach):.1f} ms")
    report.verdict("the log opened after each kill, no record was torn, none vanished later", is_met=True)
    report.verdict(f"only the last {ALLOWED_MS:g} ms were lost, each time", is_met=max(reach) <= ALLOWED_MS)
    report.write_json("crash", given, msgspec.to_builtins(crashes))


if __name__ == "__main__":
    main()
