"""What two runs' numbers would have been, had other seconds of them been seen: a moving-block bootstrap over time.

Requests that follow each other share a queue, so they are drawn in blocks of time, never one by one. Runs with the
same schedule are drawn jointly: the same blocks of both, because what the arrivals did, they did to both. A quantile
is of all requests of the drawn blocks, taken anew each time; quantiles of single blocks say nothing about it, as a
block holds a handful of slow requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadtest.view import FOREVER_NS

if TYPE_CHECKING:
    from loadtest.view import View

REPLICATES = 1_000
# How many blocks all runs of a side make. A block has to be longer than what one request can feel of another:
# a queue's memory, or a noisy neighbour's visit. Fewer are longer, and their spread is known less well.
BLOCKS = (24, 12, 6)
_WINDOWS = 192  # a block begins at any window
_RESOLUTION = 0.002  # of a latency, in resampled quantiles only


@dataclass(frozen=True, slots=True)
class Side:
    """A side's requests, counted by window of time. Windows of several runs follow each other.

    Shapes: slow float32[windows, bins], bins ascending in `edges_ns`, `inf` last: without an answer;
    shares float32[windows, shares], those that count toward each share; of float32[windows, shares], out of which.
    """

    edges_ns: np.ndarray
    slow: np.ndarray
    shares: np.ndarray
    of: np.ndarray

    @property
    def trail(self) -> np.ndarray:
        """How the run went, window after window: the mean logarithm, and the slowest hundredth. float64[2, windows]."""
        requests = np.maximum(self.slow.sum(axis=1), 1)
        levels = np.log(np.minimum(self.edges_ns, self.edges_ns[np.isfinite(self.edges_ns)].max(initial=1)))
        rank = np.cumsum(self.slow.sum(axis=0))
        slowest = rank > 0.99 * rank[-1]
        return np.stack([self.slow @ levels / requests, self.slow @ slowest / requests]).astype(np.float64)


def count(views: list[View], windows: np.ndarray, shares: list[np.ndarray], of: list[np.ndarray]) -> Side:
    """Count a side. windows int[requests]: of each request of all views, from `windows_of`; shares, of: bool masks."""
    latency_ns = np.concatenate([view.latency_ns for view in views])
    step = np.log1p(_RESOLUTION)
    bins = np.floor(np.log(np.maximum(latency_ns, 1)) / step)
    bins[latency_ns == FOREVER_NS] = np.inf
    used, at = np.unique(bins, return_inverse=True)
    slow = np.bincount(windows * len(used) + at, minlength=_WINDOWS * len(used)).reshape(_WINDOWS, len(used))
    edges_ns = np.exp((used + 0.5) * step)
    return Side(edges_ns, slow.astype(np.float32), _by_window(windows, shares), _by_window(windows, of))


def windows_of(views: list[View]) -> np.ndarray:
    """The window of each request, int64: equal parts of all runs' time, one run after the other."""
    parts = np.linspace(0, _WINDOWS, len(views) + 1).round().astype(np.int64)
    return np.concatenate(
        [
            np.minimum(first + _elapsed(view) * (last - first), last - 1).astype(np.int64)
            for view, first, last in zip(views, parts, parts[1:], strict=False)
        ]
    )


def blocks(base: Side, new: Side, *, paired: bool) -> int:
    """The most blocks whose differences do not resemble those of the blocks before them."""
    trails = [base.trail, new.trail]
    wanted = [trails[1] - trails[0]] if paired else trails
    for most in BLOCKS[:-1]:
        series = np.concatenate([each.reshape(2, most, -1).mean(axis=2) for each in wanted])
        if all(_resemblance(each) < 1.3 / most**0.5 for each in series):  # 1.3: exceeded by chance in one of ten
            return most
    return BLOCKS[-1]


def draws(rng: np.random.Generator, blocks: int) -> np.ndarray:
    """How often each window is drawn, float32[replicates, windows]: circular moving blocks."""
    first = rng.integers(0, _WINDOWS, (REPLICATES, blocks, 1))
    drawn = ((first + np.arange(_WINDOWS // blocks)) % _WINDOWS).reshape(REPLICATES, -1)
    flat = drawn + np.arange(REPLICATES)[:, None] * _WINDOWS
    return np.bincount(flat.ravel(), minlength=REPLICATES * _WINDOWS).reshape(REPLICATES, -1).astype(np.float32)


def quantiles_ns(side: Side, drawn: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    """float64[quantiles, replicates]; `inf` where too many were not answered."""
    below = np.cumsum(drawn @ side.slow, axis=1)  # float32 counts up to 16 M, and then nearly
    total = below[:, -1:].astype(np.float64)
    found = [(below >= q * total - 1e-6).argmax(axis=1) for q in wanted]
    return np.stack([side.edges_ns[at] for at in found])


def means_ns(side: Side, drawn: np.ndarray) -> np.ndarray:
    """The mean of those answered, float64[replicates]."""
    finite = np.isfinite(side.edges_ns)
    slow = side.slow[:, finite].astype(np.float64)
    answered = drawn @ slow.sum(axis=1)
    return np.where(answered > 0, drawn @ (slow @ side.edges_ns[finite]) / np.maximum(answered, 1), np.inf)


def shares(side: Side, drawn: np.ndarray) -> np.ndarray:
    """float64[shares, replicates]."""
    found: np.ndarray = (drawn @ side.shares) / np.maximum(drawn @ side.of, 1)
    return found.T.astype(np.float64)


def _elapsed(view: View) -> np.ndarray:
    """How far into its run each request was meant, from 0 up to below 1; time between measured phases left out."""
    phase, intended_ns = view.planned["phase"], view.planned["intended_ns"]
    spent_ns, passed_ns = np.zeros(len(view)), 0
    for at in np.unique(phase):
        here = phase == at
        spent_ns[here] = passed_ns + intended_ns[here] - view.record.phases[at].start_ns
        passed_ns += view.record.phases[at].end_ns - view.record.phases[at].start_ns
    return spent_ns / max(1, passed_ns)


def _by_window(windows: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.bincount(windows[mask], minlength=_WINDOWS) for mask in masks], axis=1).astype(np.float32)


def _resemblance(series: np.ndarray) -> float:
    """Correlation of each value with the one before it."""
    around = series - series.mean()
    return float((around[1:] * around[:-1]).sum() / max((around * around).sum(), np.finfo(float).tiny))
