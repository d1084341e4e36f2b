"""What the overload control said is what happened, or, where it is dark, is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.history.rule import Rule

if TYPE_CHECKING:
    from loadtest.history import Line
    from router.history.entry import Entry
    from router.history.exchange import Exchange

# It runs inline, so that only a verdict keeps it from a request for the sake of others (router/activation.py).
INLINE_RUNG = "small"


class DarkChangesNothing(Rule):
    """Dark verdicts are recorded and nothing else; others are obeyed."""

    name, claim = "I15", "a dark verdict changes nothing, any other is obeyed"
    evidence = "verdict, dark, rung, run, skipped; refusals with rejected-overload"

    def __init__(self) -> None:
        super().__init__()
        self._rejected: list[Line] = []
        self._dark = 0

    def see(self, exchange: Exchange) -> None:
        line, entry, _ = exchange
        if line.dropped == "rejected-overload":
            self._rejected.append(line)
        if entry is None or entry.verdict == "admit":
            return
        self.checked += 1
        self._dark += entry.dark
        what = _changed(entry) if entry.dark else _disobeyed(entry)
        if what:
            self._violate(line, what, entry.decision_id)

    def end(self) -> None:
        self.checked += len(self._rejected)
        if self._dark:
            for line in self._rejected:
                self._violate(line, "rejected-overload, while the control is dark")


def _changed(entry: Entry) -> str:
    if (INLINE_RUNG, "overload") in entry.skipped:
        return f"verdict {entry.verdict} is dark, and {INLINE_RUNG} was withheld for overload"
    return ""


def _disobeyed(entry: Entry) -> str:
    if entry.run is not None:
        return f"verdict {entry.verdict}, and {entry.run.rung} was queued on the executor"
    if entry.verdict != "inline" and entry.is_from_model:
        return f"verdict {entry.verdict}, and {entry.rung} answered"
    return ""
