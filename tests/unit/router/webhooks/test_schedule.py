"""When what is sent: order, back-off, giving up, refusal, replay, and the rows that survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from router.webhooks.delivery import Delivery, Outcome
from router.webhooks.schedule import DELIVERY, HEAD, Head, RetryPlan, Schedule
from tests.hooks import event, ids

if TYPE_CHECKING:
    from router.webhooks.schedule import Row

S = 10**9
HOUR = 3_600 * S
OK, ERROR, GONE = Outcome(200), Outcome(500, "answered 500"), Outcome(410, "answered 410")
PLAN = RetryPlan(5 * S, HOUR, 24 * HOUR, most_inflight=3, most_pending=10, most_dead=2)
URL = "https://crm.example/hook"


def make(plan: RetryPlan = PLAN, jitter: float = 1.0, url: str = URL) -> Schedule:
    schedule = Schedule("crm", url, plan, lambda: jitter)
    schedule.begin("0-0")
    return schedule


def take(schedule: Schedule, *subjects: str, first: int = 1, now_ns: int = 0) -> None:
    events = [event(number, subject) for number, subject in enumerate(subjects, first)]
    schedule.take_in(events, events[-1].id, now_ns)


def attempt(schedule: Schedule, outcome: Outcome, now_ns: int) -> list[str]:
    """Send what is due and let all of it end in the same way."""
    due = schedule.due(now_ns)
    for delivery in due:
        schedule.settle(delivery, outcome, now_ns)
    return ids(due)


def stored(rows: list[Row], into: dict[tuple[str, str], bytes]) -> None:
    for row in rows:
        if row.body is None:
            del into[row.kind, row.id]
        else:
            into[row.kind, row.id] = row.body


def revived(rows: dict[tuple[str, str], bytes], now_ns: int = 0, url: str = URL) -> Schedule:
    schedule = Schedule("crm", url, PLAN, lambda: 1.0)
    deliveries = [msgspec.msgpack.decode(body, type=Delivery) for (kind, _), body in rows.items() if kind == DELIVERY]
    schedule.restore(msgspec.msgpack.decode(rows[HEAD, "crm"], type=Head), deliveries, now_ns)
    return schedule


def test_one_at_a_time_for_a_subject_and_several_for_all() -> None:
    schedule = make()
    take(schedule, "a", "a", "b", "c", "d")
    first = schedule.due(0)
    assert ids(first) == ["1-0", "3-0", "4-0"]  # three at the same time, never two of a subject
    assert schedule.due(0) == []
    assert schedule.next_ns() is None
    schedule.settle(first[0], OK, 0)
    assert ids(schedule.due(0)) == ["2-0"]  # the oldest event first
    schedule.settle(first[1], OK, 0)
    assert ids(schedule.due(0)) == ["5-0"]


def test_a_failure_holds_back_its_subject_and_no_other() -> None:
    schedule = make()
    take(schedule, "a", "a", "b")
    first, other = schedule.due(0)
    schedule.settle(first, ERROR, 0)
    schedule.settle(other, OK, 0)
    take(schedule, "b", "a", first=4)
    assert attempt(schedule, OK, 0) == ["4-0"]
    assert schedule.due(5 * S - 1) == []
    assert schedule.next_ns() == 5 * S
    assert [attempt(schedule, OK, 5 * S) for _ in range(4)] == [["1-0"], ["2-0"], ["5-0"], []]
    assert schedule.pending == {}


def test_back_off_doubles_up_to_its_bound_and_ends_with_a_last_attempt() -> None:
    schedule, now_ns, waits = make(), 0, []
    take(schedule, "a")
    while True:
        (delivery,) = schedule.due(now_ns)
        schedule.settle(delivery, ERROR, now_ns)
        if delivery.is_dead:
            break
        waits.append(delivery.next_ns - now_ns)
        now_ns = delivery.next_ns
    assert waits[:11] == [5 * S * 2**n for n in range(10)] + [HOUR]
    assert set(waits[11:-1]) == {HOUR}
    assert now_ns == 24 * HOUR
    assert list(schedule.dead) == ["1-0"]
    assert (delivery.status, delivery.error, delivery.attempts) == (500, "answered 500", len(waits) + 1)


@pytest.mark.parametrize(("jitter", "wait_ns"), [(0.0, 5 * S // 2), (0.5, 15 * S // 4), (1.0, 5 * S)])
def test_jitter_takes_away_up_to_half(jitter: float, wait_ns: int) -> None:
    schedule = make(jitter=jitter)
    take(schedule, "a")
    attempt(schedule, ERROR, 0)
    assert schedule.next_ns() == wait_ns


def test_after_a_day_without_success_what_waited_behind_gets_one_attempt_each() -> None:
    schedule = make()
    take(schedule, "a", "a")
    now_ns = 0
    while "1-0" not in schedule.dead:
        attempt(schedule, ERROR, now_ns)
        now_ns = schedule.next_ns() or now_ns
    assert attempt(schedule, ERROR, 24 * HOUR) == ["2-0"]
    assert list(schedule.dead) == ["1-0", "2-0"]
    assert schedule.pending == {}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_an_overloaded_receiver_holds_for_all_its_subjects(status: int) -> None:
    schedule = make()
    take(schedule, "a", "b")
    first, other = schedule.due(0)
    schedule.settle(first, Outcome(status, "busy", 60 * S), 0)
    schedule.settle(other, OK, 0)
    take(schedule, "c", first=3)
    assert schedule.due(60 * S - 1) == []
    assert schedule.next_ns() == 60 * S
    assert attempt(schedule, OK, 60 * S) == ["3-0", "1-0"]


def test_retry_after_of_another_answer_is_for_that_event() -> None:
    schedule = make()
    take(schedule, "a", "b")
    first, other = schedule.due(0)
    schedule.settle(first, Outcome(500, "broken", 60 * S), 0)
    schedule.settle(other, ERROR, 0)
    assert attempt(schedule, OK, 5 * S) == ["2-0"]
    assert schedule.next_ns() == 60 * S


def test_retry_after_has_a_bound() -> None:
    schedule = make()
    take(schedule, "a")
    attempt(schedule, Outcome(503, "busy", 30 * 24 * HOUR), 0)
    assert schedule.next_ns() == HOUR


def test_without_retry_after_a_503_holds_back_its_subject_only() -> None:
    schedule = make()
    take(schedule, "a", "b")
    first, other = schedule.due(0)
    schedule.settle(first, Outcome(503, "busy"), 0)
    schedule.settle(other, OK, 0)
    take(schedule, "b", first=3)
    assert attempt(schedule, OK, 0) == ["3-0"]


def test_gone_stops_everything_until_an_operator_or_another_url() -> None:
    schedule = make()
    rows: dict[tuple[str, str], bytes] = {}
    take(schedule, "a", "b")
    first, other = schedule.due(0)
    schedule.settle(first, GONE, 0)
    schedule.settle(other, ERROR, 0)
    assert (schedule.is_refused, schedule.room, schedule.next_ns(), schedule.due(HOUR)) == (True, 0, None, [])
    stored(schedule.take_changes(), rows)
    assert revived(rows).is_refused
    assert ids(revived(rows, url=URL + "2").due(HOUR)) == ["1-0", "2-0"]
    assert schedule.replay(None, HOUR) == 0
    assert attempt(schedule, OK, HOUR) == ["1-0", "2-0"]


def test_room_is_what_is_not_pending() -> None:
    schedule = make()
    take(schedule, *"aaaaaaaab")
    assert schedule.room == 1
    take(schedule, "b", first=10)
    assert schedule.room == 0
    attempt(schedule, OK, 0)
    assert schedule.room == 2


def test_the_oldest_of_too_many_dead_is_forgotten_and_counted() -> None:
    schedule = make()
    rows: dict[tuple[str, str], bytes] = {}
    take(schedule, "a", "b", "c")
    attempt(schedule, ERROR, 0)
    stored(schedule.take_changes(), rows)
    for _ in range(3):
        attempt(schedule, ERROR, 25 * HOUR)
    assert list(schedule.dead) == ["2-0", "3-0"]
    assert schedule.head.forgotten_total == 1
    stored(schedule.take_changes(), rows)
    again = revived(rows)
    assert list(again.dead) == ["2-0", "3-0"]
    assert again.head.forgotten_total == 1


def test_a_replay_begins_its_patience_anew_and_goes_before_what_waits() -> None:
    schedule = make()
    take(schedule, "a", "a", "b")
    attempt(schedule, ERROR, 0)
    attempt(schedule, ERROR, 24 * HOUR)
    assert set(schedule.dead) == {"1-0", "3-0"}
    (waiting,) = schedule.due(24 * HOUR)
    assert schedule.replay(["1-0", "no such"], 25 * HOUR) == 1
    assert schedule.due(25 * HOUR) == []  # 2-0 is under way
    schedule.settle(waiting, Outcome(500), 25 * HOUR)
    assert list(schedule.dead) == ["3-0", "2-0"]
    (again,) = schedule.due(25 * HOUR)
    assert (again.event.id, again.attempts, again.taken_ns) == ("1-0", 0, 25 * HOUR)
    schedule.settle(again, ERROR, 25 * HOUR)
    assert not again.is_dead
    assert schedule.replay(None, 26 * HOUR) == 2
    assert schedule.dead == {}


def test_what_is_delivered_before_it_is_saved_never_costs_a_row() -> None:
    schedule = make()
    take(schedule, "a", "b")
    attempt(schedule, OK, 0)
    rows = schedule.take_changes()
    assert [(row.kind, row.id) for row in rows] == [(HEAD, "crm")]
    assert schedule.take_changes() == []


def test_rows_bring_back_cursor_pending_and_order() -> None:
    schedule = make()
    rows: dict[tuple[str, str], bytes] = {}
    take(schedule, "a", "a", "b")
    due = schedule.due(0)
    schedule.settle(due[0], ERROR, 0)
    stored(schedule.take_changes(), rows)
    again = revived(rows)
    assert again.head.cursor == "3-0"
    assert ids(again.due(0)) == ["3-0"]  # under way when it stopped: nobody knows, so once more
    assert attempt(again, OK, 5 * S) == ["1-0"]
    schedule.settle(due[1], OK, 0)
    stored(schedule.take_changes(), rows)
    assert set(revived(rows).pending) == {"1-0", "2-0"}


def test_rows_that_were_not_written_come_again() -> None:
    schedule = make()
    rows: dict[tuple[str, str], bytes] = {}
    take(schedule, "a")
    attempt(schedule, ERROR, 0)
    lost = schedule.take_changes()
    attempt(schedule, OK, 5 * S)
    schedule.not_saved(lost)
    again = schedule.take_changes()
    assert {(row.kind, row.id, row.body is None) for row in again} == {
        (HEAD, "crm", False),
        (DELIVERY, "crm/1-0", True),  # nobody knows whether it was written, so it is deleted
    }
    stored([row for row in again if row.body is not None], rows)
    assert revived(rows).head.cursor == "1-0"


def test_a_clock_that_was_set_back_makes_nobody_wait_for_long() -> None:
    schedule = make()
    rows: dict[tuple[str, str], bytes] = {}
    take(schedule, "a", now_ns=100 * HOUR)
    attempt(schedule, ERROR, 100 * HOUR)
    stored(schedule.take_changes(), rows)
    again = revived(rows, now_ns=2 * HOUR)
    assert again.next_ns() == 3 * HOUR
    assert again.pending["1-0"].taken_ns == 2 * HOUR


def test_events_that_nobody_wants_move_the_cursor() -> None:
    schedule = make()
    schedule.take_in([], "9-3", 0)
    assert schedule.head.cursor == "9-3"
    assert [row.kind for row in schedule.take_changes()] == [HEAD]


def test_the_same_event_twice_is_one() -> None:
    schedule = make()
    take(schedule, "a")
    take(schedule, "a")
    assert attempt(schedule, OK, 0) == ["1-0"]
    assert attempt(schedule, OK, 0) == []


def test_a_replay_goes_before_what_is_due_already() -> None:
    schedule = make()
    take(schedule, "a")
    attempt(schedule, ERROR, 0)
    attempt(schedule, ERROR, 24 * HOUR)
    take(schedule, "a", first=2, now_ns=25 * HOUR)
    assert schedule.replay(None, 26 * HOUR) == 1
    assert [attempt(schedule, OK, 26 * HOUR) for _ in range(3)] == [["1-0"], ["2-0"], []]
