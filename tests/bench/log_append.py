"""What a decision record costs: the caller's append, and the CPU of both threads.

    python -m tests.bench.log_append [--records 20000]

Baseline: each record is encoded, inserted and committed by the caller, one after the other (same file, schema
and synchronous=FULL). Records come 200 every 20 ms, as 10,000 decisions a second would bring them. Times on a
shared machine are noisy: compare the rows of one run. The last row compares the store with the same
store using executemany, in pairs that take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from budgets.clock import SystemClock
from router.log import DecisionRecord, GroupLog, LogSettings, SqliteStore
from router.log.journal import Step
from tests.log_records import FULL

_BURST = 200
_BURST_EVERY_S = 0.02
_PAIRS = 20


class ExecutemanyStore(SqliteStore):
    """The store, but row by row."""

    def write(self, records: list[DecisionRecord], steps: Sequence[Step] = ()) -> int:
        """Write a group in one transaction."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO decisions (decision_id, at_ns, record) VALUES (?,?,?)",
                [(record.decision_id, record.at_ns, msgspec.msgpack.encode(record)) for record in records],
            )
        return 0


def _records(count: int, *, ordered: bool) -> list[DecisionRecord]:
    """As a server makes them: ids ordered by time, or random as uuid4."""
    return [
        msgspec.structs.replace(FULL, decision_id=f"{number:032x}" if ordered else uuid.uuid4().hex)
        for number in range(count)
    ]


async def _group(path: Path, records: list[DecisionRecord]) -> tuple[list[int], float, float]:
    """Append at the pace above; returns each append in ns, and CPU µs a record: in all, and the writer's."""
    settings = LogSettings(path=str(path), retention_days=36_500)
    log = GroupLog(SqliteStore(settings, SystemClock()), settings, SystemClock())
    await log.start()
    costs_ns = []
    pacing_ns = 0
    began_ns, caller_began_ns = time.process_time_ns(), time.thread_time_ns()
    for start in range(0, len(records), _BURST):
        for record in records[start : start + _BURST]:
            before_ns = time.perf_counter_ns()
            log.append(record)
            costs_ns.append(time.perf_counter_ns() - before_ns)
        slept_ns = time.thread_time_ns()
        await asyncio.sleep(_BURST_EVERY_S)
        pacing_ns += time.thread_time_ns() - slept_ns
    await log.commit()
    all_ns, caller_ns = time.process_time_ns() - began_ns, time.thread_time_ns() - caller_began_ns
    assert log.stats().written_total == len(records), log.stats()
    await log.close()
    a_record_us = 1 / len(records) / 1000
    return costs_ns, (all_ns - pacing_ns) * a_record_us, (all_ns - caller_ns) * a_record_us


def _naive(path: Path, records: list[DecisionRecord]) -> tuple[list[int], float, float]:
    store = SqliteStore(LogSettings(path=str(path)), SystemClock())
    store.open()
    costs_ns = []
    began_ns = time.process_time_ns()
    for record in records:
        before_ns = time.perf_counter_ns()
        store.write([record])
        costs_ns.append(time.perf_counter_ns() - before_ns)
    cpu_us = (time.process_time_ns() - began_ns) / len(records) / 1000
    store.close()
    return costs_ns, cpu_us, 0.0


def _flush_us(path: Path) -> float:
    """A bare write and fsync, without which no naive insert can do."""
    costs_ns = []
    with path.open("wb", buffering=0) as file:
        for _ in range(300):
            file.write(bytes(4096))
            before_ns = time.perf_counter_ns()
            os.fsync(file.fileno())
            costs_ns.append(time.perf_counter_ns() - before_ns)
    return statistics.median(costs_ns) / 1000


def _beside_a_busy_thread(path: Path, records: list[DecisionRecord]) -> float:
    """Records a second that the store writes while another thread never lets go of the interpreter."""
    store = SqliteStore(LogSettings(path=str(path)), SystemClock())
    store.open()
    is_done = threading.Event()

    def spin() -> None:
        while not is_done.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    began_ns = time.perf_counter_ns()
    for start in range(0, len(records), _BURST):
        store.write(records[start : start + _BURST])
    took_s = (time.perf_counter_ns() - began_ns) / 1e9
    is_done.set()
    thread.join()
    store.close()
    return len(records) / took_s


def _cpu_us(store: SqliteStore, records: list[DecisionRecord]) -> float:
    store.open()
    began_ns = time.thread_time_ns()
    for start in range(0, len(records), _BURST):
        store.write(records[start : start + _BURST])
    cpu_us = (time.thread_time_ns() - began_ns) / len(records) / 1000
    store.close()
    return cpu_us


def _against_executemany(folder: str, records: list[DecisionRecord]) -> list[float]:
    """CPU of the store over that of executemany, one ratio a pair, sorted."""
    ratios = []
    for pair in range(_PAIRS):
        kinds = (SqliteStore, ExecutemanyStore)
        cpu_us = {
            kind: _cpu_us(kind(LogSettings(path=f"{folder}/{pair}{kind.__name__}"), SystemClock()), records)
            for kind in (kinds if pair % 2 else kinds[::-1])
        }
        ratios.append(cpu_us[SqliteStore] / cpu_us[ExecutemanyStore])
    return sorted(ratios)


def _row(name: str, costs_ns: list[int], cpu_us: float, writer_us: float) -> None:
    p50, p99 = statistics.median(costs_ns) / 1000, statistics.quantiles(costs_ns, n=100)[98] / 1000
    print(
        f"{name:36} append p50 {p50:8.2f} µs, p99 {p99:8.2f} µs; "
        f"CPU a record {cpu_us:6.1f} µs, of it the writer thread {writer_us:5.1f} µs"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    count = parser.parse_args().records
    reads = [time.perf_counter_ns() for _ in range(10_001)]
    timer_us = statistics.median(b - a for a, b in pairwise(reads)) / 1000
    size = len(msgspec.msgpack.encode(_records(1, ordered=True)[0]))
    print(f"{count} records of {size} bytes; {os.cpu_count()} cores; a clock read is {timer_us:.2f} µs")
    with tempfile.TemporaryDirectory() as folder:
        print(f"a bare fsync of 4 KiB takes {_flush_us(Path(folder, 'flush')):.0f} µs (p50) at this moment")
        for ordered in (True, False):
            kind = "ordered ids" if ordered else "random ids"
            records = _records(count, ordered=ordered)
            _row(f"group log, {kind}", *asyncio.run(_group(Path(folder, f"g{ordered}"), records)))
            _row(f"naive insert + commit, {kind}", *_naive(Path(folder, f"n{ordered}"), records[:2000]))
            rate = _beside_a_busy_thread(Path(folder, f"b{ordered}"), records)
            print(f"{f'beside a busy thread, {kind}':36} {rate:,.0f} records/s")
        ratios = _against_executemany(folder, _records(4000, ordered=True))
        low, middle, high = ratios[_PAIRS // 4], statistics.median(ratios), ratios[-_PAIRS // 4]
        print(f"CPU over executemany's, {_PAIRS} pairs            {middle:.2f} (middle half {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
