"""The breaker as a state machine, against a simple list of what it has let in."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from fallbacks.breaker import TRANSITIONS, Breaker, BreakerSettings, Ending, Event, State

S = 1_000_000_000
MIN_CALLS = 4


class Watched(Breaker):
    """Notes each transition."""

    moves: list[tuple[State, Event, State]]

    def _move(self, event: Event, now_ns: int) -> None:
        before = self.state
        super()._move(event, now_ns)
        self.moves.append((before, event, self.state))


class BreakerMachine(RuleBasedStateMachine):
    """Calls come, end in any order and way, and time passes."""

    permits: Bundle[tuple[int, int]] = Bundle("permits")

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.breaker = Watched(BreakerSettings(min_calls=MIN_CALLS), Random(seed))
        self.breaker.moves = []
        self.now_ns = 0
        self.opened_ns = 0
        self.calls = 0
        self.probes: list[int] = []  # the numbers of the calls let in half-open, under way
        self.failures: list[int] = []  # when calls of this closed spell failed or dragged

    @rule(target=permits)
    def acquire(self) -> tuple[int, int]:
        permit = self.breaker.acquire(self.now_ns)
        self.calls += 1
        if permit is None:
            assert self.breaker.state is not State.CLOSED, "a rung in service lets everybody in"
            assert self.breaker.state is State.OPEN or len(self.probes) == 2
            return -1, self.calls
        assert self.breaker.state is not State.OPEN
        if self.breaker.state is State.HALF_OPEN:
            self.probes.append(self.calls)
        return permit, self.calls

    @rule(held=consumes(permits), ending=st.sampled_from(Ending))
    def record(self, held: tuple[int, int], ending: Ending) -> None:
        permit, number = held
        if permit < 0:
            return
        before, moves = self.breaker.state, len(self.breaker.moves)
        closed = self.breaker.record(permit, ending, self.now_ns)
        assert closed == (before is State.HALF_OPEN and self.breaker.state is State.CLOSED)
        assert not closed or (number in self.probes and ending is Ending.OK), "only a good probe closes it"
        if ending is Ending.IGNORED:
            assert len(self.breaker.moves) == moves, "who left says nothing"
        if before is State.CLOSED and self.breaker.state is State.OPEN:
            assert ending in {Ending.FAILED, Ending.SLOW}
        if number in self.probes:
            self.probes.remove(number)
        if len(self.breaker.moves) > moves:
            self.probes.clear()
            self.opened_ns = self.now_ns

    @rule(ns=st.sampled_from((1, S // 10, S // 2, 3 * S, 11 * S)))
    def wait(self, ns: int) -> None:
        self.now_ns += ns

    @precondition(lambda self: self.breaker.state is State.OPEN)
    @rule()
    def it_is_never_open_for_longer_than_three_seconds(self) -> None:
        self.now_ns = max(self.now_ns, self.opened_ns + 3 * S)
        permit = self.breaker.acquire(self.now_ns)
        assert permit is not None
        self.breaker.record(permit, Ending.IGNORED, self.now_ns)

    @invariant()
    def only_moves_of_the_table(self) -> None:
        if hasattr(self, "breaker"):
            assert all(TRANSITIONS[before, event] is after for before, event, after in self.breaker.moves)

    @invariant()
    def probes_are_at_most_two(self) -> None:
        if hasattr(self, "breaker") and self.breaker.state is State.HALF_OPEN:
            assert self.breaker._probes == len(self.probes) <= 2


TestBreaker = BreakerMachine.TestCase
