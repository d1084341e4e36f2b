"""Measures in words, for terminal and page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.simulate.compare import Estimate, Metric


def show(value: float, metric: Metric) -> str:
    match metric.unit:
        case "share":
            return f"{value:.1%}"
        case "s":
            return f"{value:,.1f} s"
        case _:
            return f"{value:.3f}"


def show_interval(estimate: Estimate, metric: Metric) -> str:
    """A mean and half the width of its interval; of one day, the mean alone."""
    if estimate.high is None:
        return show(estimate.mean, metric)
    half = show(estimate.high - estimate.mean, metric)
    return f"{show(estimate.mean, metric)} ± {half}"


def show_difference(gap: Estimate, metric: Metric) -> str:
    """Differences of shares are percentage points."""

    def signed(value: float) -> str:
        size = f"{100 * abs(value):.1f} pp" if metric.unit == "share" else show(abs(value), metric)
        is_none = not any(digit in "123456789" for digit in size)
        return size if is_none else f"{'+' if value > 0 else '−'}{size}"

    if gap.low is None or gap.high is None:
        return signed(gap.mean)
    return f"{signed(gap.mean)} [{signed(gap.low)}, {signed(gap.high)}]"
