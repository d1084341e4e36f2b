"""HdrHistogram V2: the one importer of `hdrh`. Logs and percentile text that other tools read, and logs of theirs.

Values are nanoseconds, as in most such logs: 1 ns to an hour at three digits, so off by 0.1 % at most.
"""

from __future__ import annotations

import binascii
import io
import zlib
from typing import TYPE_CHECKING

import numpy as np
from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException
from hdrh.histogram import HdrHistogram

from loadtest.errors import RunError
from loadtest.quantity import MS, S
from loadtest.report.section.part import window_ns
from loadtest.view import FOREVER_NS, View

if TYPE_CHECKING:
    from pathlib import Path

_HIGHEST_NS = 3_600 * S
_DIGITS = 3
_BITS = 11  # of a value that three digits keep: 2 x 10^3 < 2^11
_MOST_INTERVALS = 600
_TAG = "Tag="
_FIELDS = 4
_BROKEN = (
    HdrCookieException, HdrLengthException, HdrHistogramSettingsException, binascii.Error, zlib.error, ValueError,
    TypeError, IndexError, OverflowError,
)  # fmt: skip


def to_histogram(latency_ns: np.ndarray) -> HdrHistogram:
    """Of those that have an end. Counted by numpy first, as recording one by one costs 3 us each."""
    found = HdrHistogram(1, _HIGHEST_NS, _DIGITS)
    values = np.clip(latency_ns[latency_ns != FOREVER_NS], 0, _HIGHEST_NS)
    drop = np.maximum(0, np.frexp(values.astype(np.float64))[1] - _BITS)
    low, counts = np.unique(values >> drop << drop, return_counts=True)
    for value, count in zip(low.tolist(), counts.tolist(), strict=True):
        found.record_value(value, count)
    return found


def to_log(view: View) -> str:
    """A histogram for each second or longer window of the run. Requests without a latency are told in comments."""
    record, intended = view.record, view.planned["intended_ns"]
    span_ns = int(intended.max(initial=0)) + 1
    window = max(S, window_ns(span_ns, _MOST_INTERVALS))
    begin_s = record.origin_wall_ns / S
    lines = [
        "#[Histogram log format version 1.3]",
        f"#[Run {record.id} of {record.scenario.name}; latency in ns, from the intended time]",
        f"#[{_without(view)}]",
        f"#[StartTime: {begin_s:.3f} (seconds since epoch), {record.started_at}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    bounds = np.searchsorted(intended, np.arange(0, span_ns + window, window))
    for at, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        latency = view.latency_ns[first:last]
        found = to_histogram(latency)
        if found.get_total_count():
            most = found.get_max_value() / MS
            blob = found.encode().decode("ascii")
            lines.append(f"{at * window / S:.3f},{window / S:.3f},{most:.3f},{blob}")
        never = int((latency == FOREVER_NS).sum())
        if never:
            lines.append(f"#[{never} without an answer from {at * window / S:.3f} s on]")
    return "\n".join(lines) + "\n"


def to_percentiles(view: View) -> str:
    """The text form (.hgrm), in ms."""
    return f"#[{_without(view)}]\n{_percentiles(to_histogram(view.latency_ns))}"


def _without(view: View) -> str:
    never = int((view.latency_ns == FOREVER_NS).sum())
    return f"Of {len(view)} requests {never} have no latency, as they got no 200; percentiles are of the others"


def _percentiles(found: HdrHistogram) -> str:
    out = io.BytesIO()
    found.output_percentile_distribution(out, MS)
    lines = out.getvalue().decode("ascii").splitlines()
    # hdrh 0.10 scales the mean of that line and forgets the deviation.
    mean, deviation = found.get_mean_value() / MS, found.get_stddev() / MS
    told = f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]"
    return "\n".join(told if line.startswith("#[Mean") else line for line in lines) + "\n"


def read_log(path: Path) -> HdrHistogram:
    """All intervals of a log together. Raises: RunError: it is none; the message names the line."""
    total = HdrHistogram(1, _HIGHEST_NS, _DIGITS)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read as an HdrHistogram log: {error}") from error
    intervals = 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(("#", '"')):
            continue
        fields = line.removeprefix(line[: line.index(",") + 1] if line.startswith(_TAG) and "," in line else "")
        parts = fields.split(",")
        try:
            if len(parts) != _FIELDS:
                raise ValueError("not start, length, longest and histogram")
            total.decode_and_add(parts[-1].strip())
        except _BROKEN as error:
            raise RunError(f"{path}: line {number} holds no HdrHistogram: {error}") from error
        intervals += 1
    if not intervals:
        raise RunError(f"{path}: holds no histogram")
    return total


def log_percentiles(path: Path) -> str:
    """The percentiles of a log, as text, in ms if its values are ns. Raises: RunError."""
    return _percentiles(read_log(path))
