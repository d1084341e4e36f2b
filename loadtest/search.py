"""The highest rate at which gates hold: what to try next, given what became of the rates tried so far.

    grow      double the rate until it does not pass
    bisect    halve the gap between the highest pass and what is above it, until that is within the precision
    confirm   hold the rate found for longer, with a seed of its own; 2 % less where it does not pass (as MLPerf does)

A step that proves nothing is repeated for twice as long, and then left undecided: not a pass, and no fail either. An
undecided rate is close to the limit, so what comes next lies just beside it, below and above, not in the middle of
the gap. A generator that could not keep up is asked once more; then the search stays below that rate.
Knows no clock, no server and no statistics.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from loadtest.errors import FAILED, INCONCLUSIVE, INVALID, PASSED, ScenarioError
from loadtest.quantity import S
from loadtest.sample import MAX_REQUESTS

Kind = Literal["grow", "bisect", "confirm"]
Verdict = Literal["pass", "fail", "inconclusive", "invalid"]

GROWTH = 2.0
BACK_OFF = 0.98
CONFIRMATIONS = 6  # the last one is at 90 % of what was found
MAX_RUNS = 60
_ROUNDING = 1e-3  # rates are rounded to five digits


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `search.json` is made of."""


class Settings(Record, frozen=True, kw_only=True):
    """Where to look, and how closely. Rates in requests per second.

    Attributes:
        precision: the search ends once lowest fail / highest pass is within 1 + this.
        requests: a step sends at least as many, however long that takes. The default proves a p99 at 99 %
            confidence with up to ten misses (MLPerf's early stopping).
        looks: how often a step is run, each time twice as long, before it is left undecided.
    """

    lowest: float = 100.0
    highest: float = 50_000.0
    precision: float = 0.05
    step_ns: int = 20 * S
    confirm_ns: int = 60 * S
    requests: int = 2_010
    looks: int = 3
    seed: int = 1

    def __post_init__(self) -> None:
        """Raises: ScenarioError: a value that cannot be."""
        if not 0 < self.lowest <= self.highest <= 1_000_000:  # noqa: PLR2004 - as a phase's rate
            raise ScenarioError(f"--from {self.lowest:g} --to {self.highest:g}: must be 0 < from <= to <= 1000000")
        if not 0.001 <= self.precision <= 1:  # noqa: PLR2004
            raise ScenarioError(f"--precision {self.precision:g}: must be 0.1% to 100%")
        if min(self.step_ns, self.confirm_ns) < S or max(self.step_ns, self.confirm_ns) > 3_600 * S:
            raise ScenarioError("--step and --confirm: must be 1s to 1h")


class Step(Record, frozen=True, kw_only=True):
    """A run to make. `look`: 1, or more where shorter runs at this rate proved nothing."""

    kind: Kind
    rate: float
    for_ns: int
    seed: int
    look: int = 1


class Tried(Record, frozen=True, kw_only=True):
    """A run that was made."""

    step: Step
    verdict: Verdict
    why: str = ""


class Bracket(Record, frozen=True, kw_only=True):
    """Between which rates the limit lies.

    Attributes:
        highest_pass: None: not even the lowest rate passed.
        lowest_fail: None: no rate was proven to fail.
        confirmed: `highest_pass` held in a longer run with another seed.
        undecided: rates between the two at which the longest step proved nothing.
        invalid_from: from this rate on the generator could not keep up; None: it always could.
    """

    highest_pass: float | None
    lowest_fail: float | None
    confirmed: bool
    undecided: tuple[float, ...]
    invalid_from: float | None
    steps: tuple[Tried, ...]

    @property
    def exit_code(self) -> int:
        """0: found and confirmed; 1: the lowest rate fails; 4: the generator ended it; else 3."""
        if self.confirmed:
            return INVALID if self.lowest_fail is None and self.invalid_from is not None else PASSED
        if self.highest_pass is not None or not self.steps:
            return INCONCLUSIVE
        codes = {"fail": FAILED, "invalid": INVALID}
        return codes.get(self.steps[-1].verdict, INCONCLUSIVE)


class Search:
    """Ask `next()` for a step, make it, tell `record()`; until `next()` is None."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tried: list[Tried] = []
        self._found: dict[float, Verdict] = {}  # what a rate came to in the end
        self._confirmations = 0
        self._confirmed = False
        self._open = False  # the last step has to be made again

    def next(self) -> Step | None:
        """The next run to make; the same one until it is recorded. None: nothing is left to learn."""
        if len(self._tried) >= MAX_RUNS:
            return None
        if self._open:
            last = self._tried[-1]
            return self._step(last.step.kind, last.step.rate, last.step.look + (last.verdict == "inconclusive"))
        if self._confirmations:
            goes_on = not self._confirmed and self._confirmations < CONFIRMATIONS
            return self._step("confirm", self._confirm_rate() * BACK_OFF) if goes_on else None
        kind, rate = self._where()
        return self._step(kind, rate) if rate else None

    def record(self, step: Step, verdict: Verdict, why: str = "") -> None:
        """What became of `step`, which `next()` gave."""
        was_invalid = self._open and self._tried[-1].verdict == "invalid"
        self._tried.append(Tried(step=step, verdict=verdict, why=why))
        too_short = verdict == "inconclusive" and step.look < self._settings.looks
        self._open = too_short or (verdict == "invalid" and not was_invalid)
        if self._open:
            return
        self._found[step.rate] = verdict
        if step.kind == "confirm":
            self._confirmations += 1
            self._confirmed = verdict == "pass"

    @property
    def result(self) -> Bracket:
        """What is known by now."""
        low = self._confirm_rate() if self._confirmed else self._low()
        return Bracket(
            highest_pass=low or None,
            lowest_fail=min(self._all("fail"), default=None),
            confirmed=self._confirmed,
            undecided=tuple(sorted(rate for rate in self._all("inconclusive") if rate > low)),
            invalid_from=min(self._all("invalid"), default=None),
            steps=tuple(self._tried),
        )

    def _where(self) -> tuple[Kind, float]:
        """Which rate to try; 0: none, not even the lowest passes."""
        low, precision, most = self._low(), 1 + self._settings.precision + _ROUNDING, self._settings.highest
        fail = min(self._all("fail"), default=math.inf)
        invalid = min(self._all("invalid"), default=math.inf)
        undecided = sorted(rate for rate in self._all("inconclusive") if low < rate < fail)
        wall = min([fail, invalid, *undecided])
        if not self._found:
            return "grow", self._settings.lowest
        if not low:
            return "grow", 0
        if wall == math.inf:
            return ("grow", min(GROWTH * low, most)) if low < most else ("confirm", low)
        beside = max(1 + self._settings.precision, undecided[-1] / undecided[0]) if undecided else math.inf
        if wall / low > precision:
            middle = math.sqrt(low * wall)
            return "bisect", max(middle, wall / beside) if wall in undecided else middle
        if undecided and fail / undecided[-1] > precision and invalid == math.inf and undecided[-1] < most:
            return "bisect", min(undecided[-1] * beside, math.sqrt(undecided[-1] * fail), most)
        return "confirm", low

    def _low(self) -> float:
        """The highest rate that passes below all that fail or could not be sent; 0: none."""
        above = min([*self._all("fail"), *self._all("invalid")], default=math.inf)
        return max((rate for rate in self._all("pass") if rate < above), default=0.0)

    def _all(self, verdict: Verdict) -> list[float]:
        return [rate for rate, found in self._found.items() if found == verdict]

    def _confirm_rate(self) -> float:
        return next(each.step.rate for each in reversed(self._tried) if each.step.kind == "confirm")

    def _step(self, kind: Kind, rate: float, look: int = 1) -> Step:
        known = self._settings
        base_ns = known.confirm_ns if kind == "confirm" else known.step_ns
        rate = float(f"{rate:.5g}")
        for_ns = max(base_ns, math.ceil(known.requests / rate) * S) * 2 ** (look - 1)
        most_ns = int(0.9 * MAX_REQUESTS / rate) * S  # Poisson arrivals may be some more than meant
        # Each run has a seed of its own, so a confirmation shares no arrivals with the run that it confirms.
        return Step(kind=kind, rate=rate, for_ns=min(for_ns, most_ns), seed=known.seed + len(self._tried), look=look)
