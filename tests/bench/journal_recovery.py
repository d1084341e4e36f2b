"""What the command journal costs: recovery of many open tasks, and a command until it is durable.

    python -m tests.bench.journal_recovery [--tasks 100000] [--commands 20000]

Rows are of 600 bytes, commands of 300 with three events of 250 on a task and a resource. Times on a shared machine
are noisy: compare the rows of one run; a bare fsync is printed beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from router.log import Checkpoint, Entry, EventRow, Row
from tests.bench.log_append import _flush_us
from tests.journals import AT_NS, OnDisk
from tests.log_records import record

_ROWS_A_CHECKPOINT = 2_000
_AFTER = 5_000
"""Commands behind the last checkpoint."""


def _command(position: int, epoch: int) -> Entry:
    task, resource = f"task-{position // 3:012d}", f"resource-{position % 500}"
    body = os.urandom(250)
    events = (
        EventRow(task, position % 3 * 2 + 1, 0, body),
        EventRow(task, position % 3 * 2 + 2, 1, body),
        EventRow(resource, position, 2, body),
    )
    return Entry(position, AT_NS, epoch, os.urandom(300), events)


async def _filled(path: Path, tasks: int) -> None:
    process = OnDisk(path)
    epoch = (await process.start()).epoch
    took_ms = []
    for position in range(1, tasks // _ROWS_A_CHECKPOINT + 1):
        start = (position - 1) * _ROWS_A_CHECKPOINT
        rows = [
            Row("task", f"task-{number:012d}", os.urandom(600)) for number in range(start, start + _ROWS_A_CHECKPOINT)
        ]
        process.journal.append(_command(position, epoch))
        process.journal.checkpoint(Checkpoint(position, tuple(rows)))
        began_ns = time.perf_counter_ns()
        await process.journal.commit()
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    print(f"checkpoint of {_ROWS_A_CHECKPOINT} new rows      p50 {statistics.median(took_ms):8.1f} ms")
    last = tasks // _ROWS_A_CHECKPOINT
    for position in range(last + 1, last + 1 + _AFTER):
        process.journal.append(_command(position, epoch))
    await process.close()


async def _recovered(path: Path) -> None:
    process = OnDisk(path)
    await process.log.start()
    began_ns = time.perf_counter_ns()
    found = await process.journal.start()
    took_ms = (time.perf_counter_ns() - began_ns) / 1e6
    print(f"recovery of {len(found.rows)} rows, {len(found.entries)} commands  {took_ms:8.1f} ms")
    await process.close()


async def _burst(path: Path, commands: int) -> None:
    process = OnDisk(path)
    found = await process.start()
    position = found.position + len(found.entries)
    made = [_command(at, found.epoch) for at in range(position + 1, position + 1 + commands)]
    began_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    costs_ns = []
    for start in range(0, commands, 1_000):
        for one in made[start : start + 1_000]:
            before_ns = time.perf_counter_ns()
            process.journal.append(one)
            costs_ns.append(time.perf_counter_ns() - before_ns)
        await process.journal.commit()
    took_s, cpu_us = (time.perf_counter_ns() - began_ns) / 1e9, (time.process_time_ns() - cpu_ns) / 1e3 / commands
    p50, p99 = statistics.median(costs_ns) / 1000, statistics.quantiles(costs_ns, n=100)[98] / 1000
    print(f"append                              p50 {p50:8.2f} µs, p99 {p99:.2f} µs")
    print(f"{commands} commands at most speed    {commands / took_s:8,.0f} /s, CPU {cpu_us:.1f} µs each")
    await process.close()


async def _latency(path: Path, name: str, records: int) -> None:
    """One command at a time, beside a number of decisions for each."""
    process = OnDisk(path)
    found = await process.start()
    position = found.position + len(found.entries)
    took_ms = []
    for at in range(position + 1, position + 501):
        for number in range(records):
            process.log.append(record(at * 1_000 + number, text="x" * 200))
        began_ns = time.perf_counter_ns()
        process.journal.append(_command(at, found.epoch))
        await process.journal.commit()
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    p50, p99 = statistics.median(took_ms), statistics.quantiles(took_ms, n=100)[98]
    print(f"commit, {name:26}  p50 {p50:8.2f} ms, p99 {p99:.2f} ms")
    await process.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--commands", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"a bare fsync of 4 KiB               p50 {_flush_us(Path(folder, 'flush')) / 1000:8.2f} ms")
        path = Path(folder, "takt.sqlite")
        asyncio.run(_filled(path, given.tasks))
        for _ in range(3):
            asyncio.run(_recovered(path))
        asyncio.run(_burst(path, given.commands))
        asyncio.run(_latency(path, "one at a time", 0))
        asyncio.run(_latency(path, "beside 100 decisions each", 100))


if __name__ == "__main__":
    main()
