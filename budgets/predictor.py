"""Online estimates of what a step costs: quantiles that follow the machine they run on.

Source: online quantile tracking, Gibbs & Candes, "Adaptive Conformal Inference Under Distribution Shift",
NeurIPS 2021: after each observation the estimate moves by a fixed factor, up by `rate*q` when it was exceeded, down by
`rate*(1-q)` when not, so in the long run a share `q` of the costs lies below it, whatever their distribution.

The regression on batch size and length, and the published coverage, build on this file.
"""

from __future__ import annotations

import math

# Step of the multiplicative update: a first part that learns quickly, then one that is steadier.
_RATE, _STEADY_RATE, _STEADY_AFTER = 0.05, 0.02, 200
# A step that is not used gives no samples and would keep a bad estimate for ever: after a second of silence the
# estimate falls back towards its profile, halving the (logarithmic) distance every second.
_SILENCE_NS, _HALF_LIFE_NS = 1_000_000_000, 1_000_000_000
# An estimate stays within these factors of its profile, so that it can always come back in a few seconds.
_LOWEST, _HIGHEST = 1 / 20, 1_000.0


class QuantileEstimate:
    """One quantile of a positive quantity in ns. O(1) per observation, no allocation. Not thread safe."""

    __slots__ = ("_count", "_profile_ns", "_steps", "q", "value_ns")

    def __init__(self, profile_ns: float, q: float) -> None:
        if not (profile_ns > 0 and 0 < q < 1):
            raise ValueError(f"profile_ns must be > 0 and q within (0, 1), not {profile_ns!r}, {q!r}")
        self.q = q
        self._profile_ns = float(profile_ns)
        self.value_ns = float(profile_ns)
        self._count = 0
        # (down, up) factors while learning, then when steady.
        self._steps = tuple(
            (math.exp(-rate * (1.0 - q)), math.exp(rate * q)) for rate in (_RATE, _STEADY_RATE)
        )

    def observe(self, cost_ns: int) -> None:
        factor = self._steps[self._count >= _STEADY_AFTER][cost_ns > self.value_ns]
        self.value_ns = min(max(self.value_ns * factor, self._profile_ns * _LOWEST), self._profile_ns * _HIGHEST)
        self._count += 1

    def decay(self, silence_ns: int) -> None:
        """Move towards the profile after `silence_ns` without an observation."""
        share = 0.5 ** (silence_ns / _HALF_LIFE_NS)
        self.value_ns = self._profile_ns * (self.value_ns / self._profile_ns) ** share

    def restart(self) -> None:
        """Forget what was learned: after a fault the profile is the better guess."""
        self.value_ns = self._profile_ns
        self._count = 0


class CostEstimate:
    """Median and tail of one rung's cost, started from the profile that its warm-up measured."""

    __slots__ = ("_last_ns", "p50", "p99")

    def __init__(self, p50_ns: float, p99_ns: float) -> None:
        # A warm-up sees too few calls to know the tail: allow 1.3 times what it saw.
        self.p50 = QuantileEstimate(p50_ns, 0.5)
        self.p99 = QuantileEstimate(max(p99_ns, p50_ns) * 1.3, 0.99)
        self._last_ns: int | None = None

    def observe(self, cost_ns: int, now_ns: int) -> None:
        self.p50.observe(cost_ns)
        self.p99.observe(cost_ns)
        self._last_ns = now_ns

    def p50_ns(self) -> int:
        return int(self.p50.value_ns)

    def p99_ns(self, now_ns: int) -> int:
        """The tail as believed at `now_ns`."""
        if self._last_ns is not None and now_ns - self._last_ns > _SILENCE_NS:
            silence_ns = now_ns - self._last_ns - _SILENCE_NS
            self.p50.decay(silence_ns)
            self.p99.decay(silence_ns)
            self._last_ns = now_ns - _SILENCE_NS
        return int(self.p99.value_ns)

    def restart(self) -> None:
        self.p50.restart()
        self.p99.restart()
        self._last_ns = None
