"""The server's own counts beside its clients': nothing received is lost, nothing is counted twice."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from loadtest.sample import RUNGS, SAID
from router.history.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.history.exchange import Exchange
    from router.history.response import LateIsLabelled

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.eE+-]+|NaN|\+Inf)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Counts(NamedTuple):
    """What a server has counted since it started."""

    answered: Counter[str]  # by rung
    refused: Counter[str]  # by the code of the problem
    missed: int  # answers later than their budget
    dropped: int  # records that the log lost


def read_counts(page: str) -> Counts:
    """The text of /metrics. What is not there counts as 0."""
    answered, refused, missed, dropped = Counter[str](), Counter[str](), 0.0, 0.0
    for name, labels, value in _SAMPLE.findall(page):
        label = dict(_LABEL.findall(labels))
        if name == "takt_requests_total":
            answered[label.get("rung", "")] += int(float(value))
        elif name == "takt_refused_total":
            refused[label.get("reason", "")] += int(float(value))
        elif name == "takt_budget_missed_total":
            missed += float(value)
        elif name == "takt_log_dropped_total":
            dropped += float(value)
    return Counts(answered, refused, int(missed), int(dropped))


def between(before: Counts, after: Counts) -> Counts | None:
    """What was counted meanwhile; None: the server was started anew, and its counters with it."""
    counts = Counts(
        _less(after.answered, before.answered), _less(after.refused, before.refused),
        after.missed - before.missed, after.dropped - before.dropped,
    )  # fmt: skip
    is_negative = any(value < 0 for value in (*counts.answered.values(), *counts.refused.values(), *counts[2:]))
    return None if is_negative else counts


def _less(after: Counter[str], before: Counter[str]) -> Counter[str]:
    found = after.copy()
    found.subtract(before)
    return found


class Sums(Rule):
    """Each count of the server is that of the clients, and at most so many more as got no answer that was read.

    Args:
        counted: what the server counted during the run; None: there is nothing to compare with.
        late: has seen the same history; how many answers were labelled late.
        foreign: how many decisions of others the log holds; with any, the server may have counted more.
    """

    name, claim = "I6", "received = answered by rungs + refused; late ones are counted"
    evidence = "/metrics before and after; status, rung, dropped, late"

    def __init__(self, counted: Counts | None, late: LateIsLabelled, foreign: Callable[[], int]) -> None:
        super().__init__()
        self._counted, self._late, self._foreign = counted, late, foreign
        self._answered, self._refused, self._unknown = Counter[str](), Counter[str](), 0

    def see(self, exchange: Exchange) -> None:
        line, _, is_again = exchange
        if is_again or line.sent_ns is None:
            return
        if line.rung:
            self._answered[line.rung] += 1
        elif line.dropped:
            self._refused[line.dropped] += 1
        else:
            self._unknown += 1

    def end(self) -> None:
        if self._counted is None:
            self.notes.append("no /metrics of the server before and after, or it was started anew meanwhile")
            return
        foreign = self._foreign()
        if foreign:
            self.notes.append(f"the server made {foreign} decisions for others: it may have counted more")
        more = None if foreign else self._unknown
        self._compare("answers by", self._answered, _known(self._counted.answered, RUNGS), more)
        self._compare("refusals as", self._refused, _known(self._counted.refused, SAID), more)
        clients, server = (
            each.total() for each in (self._answered + self._refused, self._counted.answered + self._counted.refused)
        )
        self._judge("requests in all", clients, server, more)
        self._judge(
            "late answers",
            self._late.labelled,
            self._counted.missed,
            None if more is None else more + self._late.borderline,
        )

    def _compare(self, what: str, clients: Counter[str], server: Counter[str], more: int | None) -> None:
        for word in sorted({*clients, *(word for word, count in server.items() if count)}):
            self._judge(f"{what} {word}", clients[word], server[word], more)

    def _judge(self, what: str, clients: int, server: int, more: int | None) -> None:
        self.checked += 1
        if server < clients or (more is not None and server > clients + more):
            allowed = f" ({more} requests got no answer)" if more else ""
            if server > clients:
                allowed += ": did anybody else call it meanwhile?"
            self._violate(None, f"{what}: clients counted {clients:,}, the server {server:,}{allowed}")


def _known(counter: Counter[str], words: tuple[str, ...]) -> Counter[str]:
    """With the words that a history does not know under `other`."""
    found = Counter[str]()
    for word, count in counter.items():
        found[word if word in words else "other"] += count
    return found
