"""Whatever a receiver answers and whenever the process dies: nothing is lost, and each subject keeps its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from router.webhooks.delivery import Delivery, Outcome
from router.webhooks.schedule import DELIVERY, HEAD, Head, RetryPlan, Schedule
from tests.hooks import event

if TYPE_CHECKING:
    from router.webhooks.schedule import Row

S = 10**9
PLAN = RetryPlan(2 * S, 60 * S, 300 * S, most_inflight=3, most_pending=12, most_dead=1_000)
EVENTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=30)
STATUSES = st.sampled_from([200, 200, 204, 0, 404, 429, 500, 503])
STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "settle", "save", "crash", "wait"]), STATUSES, st.integers(0, 90)),
    max_size=150,
)


def fresh() -> Schedule:
    return Schedule("w", "https://a.example/", PLAN, lambda: 0.5)


class World:
    """A schedule, what the store has of it, and what the receiver has seen."""

    def __init__(self, subjects: list[str]) -> None:
        self.events = [event(number, subject) for number, subject in enumerate(subjects, 1)]
        self.rows: dict[tuple[str, str], bytes] = {(HEAD, "w"): msgspec.msgpack.encode(Head(cursor="0-0"))}
        self.now_ns = 0
        self.flying: list[Delivery] = []
        self.seen: list[str] = []
        self.revive()

    def revive(self) -> None:
        self.schedule, self.flying = fresh(), []
        head = msgspec.msgpack.decode(self.rows[HEAD, "w"], type=Head)
        rows = [body for (kind, _), body in self.rows.items() if kind == DELIVERY]
        self.schedule.restore(head, [msgspec.msgpack.decode(body, type=Delivery) for body in rows], self.now_ns)

    def read(self) -> None:
        done = int(self.schedule.head.cursor.partition("-")[0])
        if page := self.events[done : done + self.schedule.room]:
            self.schedule.take_in(page, page[-1].id, self.now_ns)

    def save(self) -> None:
        for row in self.schedule.take_changes():
            self._write(row)

    def _write(self, row: Row) -> None:
        if row.body is None:
            del self.rows[row.kind, row.id]
        else:
            self.rows[row.kind, row.id] = row.body

    def send(self) -> None:
        self.read()
        due = self.schedule.due(self.now_ns)
        self.flying += due
        assert len(self.flying) <= PLAN.most_inflight
        subjects = [delivery.event.subject for delivery in self.flying]
        assert len(subjects) == len(set(subjects))
        for delivery in due:  # nothing older of its subject waits
            mine = [each for each in self.schedule.pending.values() if each.event.subject == delivery.event.subject]
            assert min(each.order for each in mine) == delivery.order

    def settle(self, status: int, seconds: int) -> None:
        if self.flying:
            delivery = self.flying.pop(0)
            if 200 <= status < 300:
                self.seen.append(delivery.event.id)
            self.schedule.settle(delivery, Outcome(status, "", seconds * S if status > 400 else 0), self.now_ns)


@given(EVENTS, STEPS)
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_and_order_holds(subjects: list[str], steps: list[tuple[str, int, int]]) -> None:
    world = World(subjects)
    for what, status, seconds in steps:
        if what == "send":
            world.send()
        elif what == "settle":
            world.settle(status, seconds)
        elif what == "save":
            world.save()
        elif what == "crash":
            world.revive()
        else:
            world.now_ns += seconds * S
        assert len(world.schedule.pending) <= PLAN.most_pending
    for _ in range(10 * len(subjects) + 10):  # from here on the receiver is well
        world.send()
        while world.flying:
            world.settle(200, 0)
        next_ns = world.schedule.next_ns()
        if next_ns is not None:
            world.now_ns = max(world.now_ns, next_ns)
    assert world.schedule.pending == {}
    assert set(world.seen) | set(world.schedule.dead) == {each.id for each in world.events}
    firsts = list(dict.fromkeys(world.seen))  # a repeat after a crash may come late; news may not
    for subject in "abc":
        mine = [int(each[:-2]) for each in firsts if world.events[int(each[:-2]) - 1].subject == subject]
        assert mine == sorted(mine)


@given(EVENTS, st.lists(STATUSES, max_size=60))
def test_without_a_crash_each_event_is_delivered_once_or_given_up(subjects: list[str], statuses: list[int]) -> None:
    world = World(subjects)
    answers = iter([*statuses, *([200] * 1_000)])
    for _ in range(2_000):
        world.send()
        while world.flying:
            world.settle(next(answers, 200), 0)
        world.save()
        next_ns = world.schedule.next_ns()
        if next_ns is None and not world.schedule.pending:
            break
        world.now_ns = max(world.now_ns, next_ns or 0)
    assert sorted([*world.seen, *world.schedule.dead]) == sorted(each.id for each in world.events)
    assert {kind for kind, _ in world.rows} == {HEAD} | ({DELIVERY} if world.schedule.dead else set())
