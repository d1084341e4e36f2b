"""HdrHistogram logs: out and in again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from loadtest.errors import RunError
from loadtest.report.hdr import log_percentiles, read_log, to_histogram, to_log, to_percentiles
from loadtest.sample import NEVER
from loadtest.view import FOREVER_NS, quantile_ns, view
from tests.fabricated import MS, S, fabricate


def test_round_trip_keeps_every_percentile(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    latency = np.concatenate([rng.lognormal(np.log(5 * MS), 1.5, 20_000).astype(np.int64), [1_000, 100 * S]])
    run = fabricate(tmp_path / "run", latency, rate=1_000.0)
    seen = view(run)
    path = tmp_path / "run.hlog"
    path.write_text(to_log(seen))
    found = read_log(path)
    assert found.get_total_count() == len(latency)
    for q in (0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0):
        wanted = quantile_ns(seen.latency_ns, q)
        # A rank may round the other way where counts are few; 0.1 % is G12's bound.
        near = [
            quantile_ns(seen.latency_ns, q + step / len(latency)) for step in (-1, 0, 1) if q + step / len(latency) <= 1
        ]
        told = found.get_value_at_percentile(100 * q)
        assert min(abs(told - each) / each for each in (wanted, *near)) <= 0.001, q


def test_counting_beforehand_is_recording_one_by_one() -> None:
    values = np.random.default_rng(4).lognormal(np.log(3 * MS), 2, 2_000).astype(np.int64)
    slow = HdrHistogram(1, 3_600 * S, 3)
    for value in values.tolist():
        slow.record_value(value)
    fast = to_histogram(values)
    assert [fast.get_count_at_index(i) for i in range(fast.counts_len)] == [
        slow.get_count_at_index(i) for i in range(slow.counts_len)
    ]


def test_requests_without_latency_are_told_and_not_counted(tmp_path: Path) -> None:
    latency = np.where(np.arange(1_000) % 4 == 0, NEVER, 5 * MS)
    seen = view(fabricate(tmp_path / "run", latency))
    log = to_log(seen)
    assert "Of 1000 requests 250 have no latency" in log
    assert sum(int(line[2:].split()[0]) for line in log.splitlines() if "without an answer from" in line) == 250
    path = tmp_path / "run.hlog"
    path.write_text(log)
    assert read_log(path).get_total_count() == 750
    assert "250 have no latency" in to_percentiles(seen)


def test_a_run_without_any_answer_has_an_empty_histogram() -> None:
    assert to_histogram(np.full(5, FOREVER_NS)).get_total_count() == 0


def test_percentile_text_is_in_ms(tmp_path: Path) -> None:
    told = to_percentiles(view(fabricate(tmp_path / "run", [1 * MS, 3 * MS])))
    last = [line.split() for line in told.splitlines() if line.strip()[:1].isdigit()][-1]
    assert float(last[0]) == pytest.approx(3.0, rel=0.001)
    assert last[2] == "2"
    assert "StdDeviation   =        1.0" in told


def test_tagged_lines_and_other_tools_comments_are_read(tmp_path: Path) -> None:
    blob = to_histogram(np.array([5 * MS])).encode().decode()
    path = tmp_path / "other.hlog"
    path.write_text(
        f'#[Logged with jHiccup]\n"StartTimestamp","Length"\n\nTag=A,0.1,1.0,5.0,{blob}\n1.1,1.0,5.0,{blob}\n'
    )
    assert read_log(path).get_total_count() == 2
    assert "5.0" in log_percentiles(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no histogram"),
        ("1,2,3,HISTnonsense\n", "line 1"),
        ("#ok\n1,2,3\n", "line 2"),
        ("1,2,3,AAAA\n", "line 1"),
        ("Tag=\n", "line 1"),
    ],
)
def test_what_is_no_log_says_where(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.hlog"
    path.write_text(content)
    with pytest.raises(RunError, match=message):
        read_log(path)


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone\.hlog"):
        read_log(tmp_path / "gone.hlog")
