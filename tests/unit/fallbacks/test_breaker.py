"""When a rung is taken out, and how it comes back."""

from __future__ import annotations

from random import Random

from fallbacks.breaker import TRANSITIONS, Breaker, BreakerSettings, Ending, Event, State

S = 1_000_000_000


class Fixed(Random):
    """Always the longest time open."""

    def uniform(self, a: float, b: float) -> float:
        return b


def breaker(min_calls: int = 4) -> Breaker:
    return Breaker(BreakerSettings(min_calls=min_calls), Fixed())


def state(subject: Breaker) -> State:
    return subject.state


def call(subject: Breaker, ending: Ending, now_ns: int, times: int = 1) -> bool:
    """Let calls in and end them. Returns: whether the last one closed the breaker."""
    closed = False
    for _ in range(times):
        permit = subject.acquire(now_ns)
        assert permit is not None
        closed = subject.record(permit, ending, now_ns)
    return closed


def test_the_table_is_the_picture() -> None:
    assert TRANSITIONS == {
        (State.CLOSED, Event.TRIPPED): State.OPEN,
        (State.OPEN, Event.COOLED): State.HALF_OPEN,
        (State.HALF_OPEN, Event.PROBE_PASSED): State.CLOSED,
        (State.HALF_OPEN, Event.PROBE_FAILED): State.OPEN,
    }


def test_half_of_the_calls_failing_trips_it() -> None:
    subject = breaker()
    call(subject, Ending.OK, 0, 5)
    call(subject, Ending.FAILED, 0, 4)
    assert state(subject) is State.CLOSED
    call(subject, Ending.FAILED, 0)
    assert state(subject) is State.OPEN
    assert subject.acquire(0) is None
    assert repr(subject) == "<Breaker open, 0 probes>"


def test_too_few_calls_say_nothing() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 3)
    assert state(subject) is State.CLOSED
    call(subject, Ending.FAILED, 0)
    assert state(subject) is State.OPEN


def test_four_fifths_slow_trips_it() -> None:
    subject = breaker()
    call(subject, Ending.OK, 0, 2)
    call(subject, Ending.SLOW, 0, 7)
    assert state(subject) is State.CLOSED
    call(subject, Ending.SLOW, 0)
    assert state(subject) is State.OPEN


def test_ignored_calls_count_for_nothing() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 3)
    call(subject, Ending.IGNORED, 0, 100)
    assert state(subject) is State.CLOSED


def test_only_the_last_ten_seconds_count() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 3)
    call(subject, Ending.FAILED, 10 * S)
    assert state(subject) is State.CLOSED
    call(subject, Ending.FAILED, 19 * S, 3)
    assert state(subject) is State.OPEN


def test_after_half_a_second_two_probes_may_try() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    assert subject.acquire(S // 2 - 1) is None
    assert subject.acquire(S // 2) is not None
    assert state(subject) is State.HALF_OPEN
    assert subject.acquire(S // 2) is not None
    assert subject.acquire(S // 2) is None


def test_a_good_probe_closes_it_and_says_so_once() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    first, second = subject.acquire(S), subject.acquire(S)
    assert first is not None
    assert second is not None
    assert subject.record(first, Ending.OK, S)
    assert state(subject) is State.CLOSED
    assert not subject.record(second, Ending.FAILED, S), "a permit of an earlier state"
    assert state(subject) is State.CLOSED


def test_an_ignored_probe_makes_room_for_another() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    for _ in range(10):
        assert not call(subject, Ending.IGNORED, S)
    assert state(subject) is State.HALF_OPEN


def test_each_failed_probe_doubles_the_time_up_to_three_seconds() -> None:
    subject, now_ns, times = breaker(), 0, []
    call(subject, Ending.FAILED, 0, 4)
    for _ in range(6):
        opened_ns = now_ns
        while subject.acquire(now_ns) is None:
            now_ns += S // 10
        times.append((now_ns - opened_ns) / S)
        subject.record(subject._generation, Ending.SLOW, now_ns)
    assert times == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0]


def test_a_good_probe_resets_the_doubling() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    call(subject, Ending.FAILED, S)
    assert call(subject, Ending.OK, 10 * S)
    call(subject, Ending.FAILED, 10 * S, 4)
    assert subject.acquire(10 * S + S // 2) is not None


def test_what_was_before_is_forgotten_when_it_closes() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    call(subject, Ending.OK, S)
    call(subject, Ending.FAILED, S, 3)
    assert state(subject) is State.CLOSED


def test_a_call_from_before_it_opened_does_not_count_as_a_probe() -> None:
    subject = breaker()
    early = subject.acquire(0)
    assert early is not None
    call(subject, Ending.FAILED, 0, 4)
    assert subject.acquire(S) is not None
    assert not subject.record(early, Ending.OK, S)
    assert state(subject) is State.HALF_OPEN


def test_a_rung_that_is_down_for_a_week_is_still_probed_every_three_seconds() -> None:
    subject = breaker()
    call(subject, Ending.FAILED, 0, 4)
    for number in range(1, 200_000):
        call(subject, Ending.FAILED, number * 3 * S)
    assert state(subject) is State.OPEN
