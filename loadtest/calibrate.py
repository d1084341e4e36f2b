"""Is what we measure true? A run against the echo server, held against the server's own books, request by request.

latency we report = time the server took + what the way there and back costs (the baseline, at no delay) + our error
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadtest.quantity import MS, US
from loadtest.view import quantile_ns

if TYPE_CHECKING:
    from loadtest.health import Validity
    from loadtest.view import View

# What is accurate enough: of the median, and of p99 the larger of the two.
P50_ERROR_NS, P99_ERROR_NS, P99_ERROR_SHARE = 300 * US, 1 * MS, 0.02
# A freeze also costs the time to work off what has piled up.
STALL_ERROR_SHARE = 0.05
# Where distributions are compared, times this close count as the same: a fixed delay is one step, which nobody hits.
_SAME_NS = 100 * US
_UNKNOWN_NS = -1
_QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Joined:
    """The same requests as both sides saw them. Shapes: int64[n] each, row by row."""

    client_ns: np.ndarray  # from the intended time
    server_ns: np.ndarray  # from when the request was read to when its answer was written
    lost: int  # requests that only one side knows of, or that were not answered


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. Errors are ours, the baseline subtracted; `ks`: None for a frozen server."""

    delay: str
    rate: float
    requests: int
    lost: int
    p50_ns: float
    p50_error_ns: float
    p99_ns: float
    p99_error_ns: float
    p999_ns: float
    p999_error_ns: float
    ks: float | None
    lag_p99_ns: float
    valid: bool
    accurate: bool
    why: tuple[str, ...]


def join(measured: View, truth: np.ndarray) -> Joined:
    """Put both sides together by the rows that are in the requests' ids.

    Args: truth: echo.truth.TRUTH[n] of a server that saw this run alone.
    """
    rows = measured.row
    known = (truth["row"] >= 0) & (truth["row"] <= (rows.max() if len(rows) else -1))
    took_ns = np.full(int(rows.max()) + 1 if len(rows) else 0, _UNKNOWN_NS, np.int64)
    took_ns[truth["row"][known]] = (truth["answered_ns"] - truth["received_ns"])[known]
    server_ns = took_ns[rows]
    both = measured.is_answered & (server_ns != _UNKNOWN_NS)
    return Joined(measured.latency_ns[both], server_ns[both], int(len(rows) - both.sum()))


def baseline_ns(joined: Joined) -> float:
    """What the way there and back costs: the median of what the server did not take."""
    return quantile_ns(joined.client_ns - joined.server_ns, 0.5)


def judge(delay: str, rate: float, joined: Joined, way_ns: float, health: Validity) -> Measurement:
    """Hold our quantiles against the server's. Args: way_ns: the baseline."""
    p50_ns, p99_ns, p999_ns = (quantile_ns(joined.client_ns, q) for q in _QUANTILES)
    truth_p50_ns, truth_p99_ns, truth_p999_ns = (quantile_ns(joined.server_ns, q) for q in _QUANTILES)
    p50_error_ns, p99_error_ns = p50_ns - way_ns - truth_p50_ns, p99_ns - way_ns - truth_p99_ns
    is_accurate = abs(p50_error_ns) <= P50_ERROR_NS and abs(p99_error_ns) <= max(
        P99_ERROR_NS, P99_ERROR_SHARE * truth_p99_ns
    )
    return Measurement(
        delay=delay,
        rate=rate,
        requests=len(joined.client_ns),
        lost=joined.lost,
        p50_ns=p50_ns,
        p50_error_ns=p50_error_ns,
        p99_ns=p99_ns,
        p99_error_ns=p99_error_ns,
        p999_ns=p999_ns,
        p999_error_ns=p999_ns - way_ns - truth_p999_ns,
        ks=distance(joined.client_ns - way_ns, joined.server_ns, _SAME_NS),
        lag_p99_ns=health.lag_p99_ns,
        valid=health.valid,
        accurate=is_accurate and not joined.lost,
        why=health.reasons,
    )


def judge_stall(
    rate: float, measured: View, frozen_ns: int, run_ns: int, way_ns: float, health: Validity
) -> Measurement:
    """Hold a run with a freeze against the closed form.

    At a constant rate, a share (S - x) / T of the requests waits longer than x, where the server was frozen for S of
    T. So p99 = S - T / 100. A tool that omits the requests which it could not send sees next to nothing of it.
    """
    p50_ns, p99_ns, p999_ns = (quantile_ns(measured.latency_ns, q) for q in _QUANTILES)
    expected_ns = frozen_ns - run_ns / 100
    p50_error_ns, p99_error_ns = p50_ns - way_ns, p99_ns - way_ns - expected_ns
    return Measurement(
        delay="stall",
        rate=rate,
        requests=len(measured),
        lost=int((~measured.is_answered).sum()),
        p50_ns=p50_ns,
        p50_error_ns=p50_error_ns,
        p99_ns=p99_ns,
        p99_error_ns=p99_error_ns,
        p999_ns=p999_ns,
        p999_error_ns=p999_ns - way_ns - (frozen_ns - run_ns / 1_000),
        ks=None,
        lag_p99_ns=health.lag_p99_ns,
        valid=health.valid,
        accurate=abs(p50_error_ns) <= P50_ERROR_NS and abs(p99_error_ns) <= STALL_ERROR_SHARE * expected_ns,
        why=health.reasons,
    )


def distance(one: np.ndarray, other: np.ndarray, same: float = 0.0) -> float:
    """Kolmogorov and Smirnov's: the largest difference between the shares of two samples that are at most x.

    Args: same: x may be this much off. With 0 it is the classical distance.
    """
    if not len(one) or not len(other):
        return float("nan")
    one, other = np.sort(one), np.sort(other)
    return max(0.0, _excess(one, other, same), _excess(other, one, same))


def _excess(one: np.ndarray, other: np.ndarray, same: float) -> float:
    """The most that the share of `one` at most x exceeds that of `other` at most x + same."""
    ranks = np.searchsorted(one, one, side="right") / len(one)
    return float((ranks - np.searchsorted(other, one + same, side="right") / len(other)).max())
