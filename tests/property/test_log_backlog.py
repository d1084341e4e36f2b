"""The backlog against a list: nothing is lost, doubled or reordered, and the bound holds."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from router.log import DecisionRecord
from router.log.backlog import Backlog
from tests.log_records import record


class BacklogMachine(RuleBasedStateMachine):
    """Offers and settles in any order."""

    @initialize(bound=st.integers(1, 8))
    def begin(self, bound: int) -> None:
        self.backlog: Backlog[DecisionRecord] = Backlog(bound)
        self.bound = bound
        self.waiting: list[DecisionRecord] = []
        self.offered = 0
        self.forced = 0

    @rule(count=st.integers(1, 10))
    def offer(self, count: int) -> None:
        for _ in range(count):
            taken = self.backlog.offer(record(self.offered))
            assert taken == (len(self.waiting) < self.bound)
            if taken:
                self.waiting.append(record(self.offered))
            self.offered += 1

    @rule(most=st.integers(1, 10), fails=st.booleans())
    def write(self, *, most: int, fails: bool) -> None:
        batch = self.backlog.batch(most)
        assert batch == self.waiting[:most]
        if not fails:
            self.backlog.settle(len(batch))
            self.waiting = self.waiting[len(batch) :]

    @rule()
    def force(self) -> None:
        self.backlog.force(record(self.offered))
        self.waiting.append(record(self.offered))
        self.offered += 1
        self.forced += 1

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "backlog"):
            return
        assert self.backlog.snapshot() == self.waiting
        assert len(self.backlog) == len(self.waiting) <= self.bound + self.forced
        assert self.backlog.accepted_total - self.backlog.settled_total == len(self.backlog)
        assert self.backlog.accepted_total + self.backlog.refused_total == self.offered


TestBacklog = BacklogMachine.TestCase
