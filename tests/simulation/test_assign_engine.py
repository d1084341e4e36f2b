"""Random lives of the assignment engine: whatever is said to it, and when, the invariants hold.

`TAKT_SEEDS` and `TAKT_SEED` as in test_spine.py: each seed is 1,000 steps. What breaks is told as few commands.
"""

from __future__ import annotations

import os

import pytest

from router.assign.command import Accept, CreateTask, PutResource, SetPresence, Suspect, Tick
from router.assign.entity import ChannelLimit
from router.assign.policy import LeasePolicy, Policy, QueuePolicy
from router.assign.transition import OfferState, TaskState
from tests.simulation.assign_runner import BEGIN_NS, Broken, Checked, Entry, Life, S, shrink, tell

_ONE = os.environ.get("TAKT_SEED")
_STEPS = 1_000
_LIVES = 20
_SEEDS = [int(_ONE)] if _ONE else list(range(_LIVES * int(os.environ.get("TAKT_SEEDS", "50")) // 50))
_BATCH = 10
GRACE_S = 30


def _told(life: Life, broken: Broken) -> str:
    small = shrink(life.checked.policy, broken)
    return "\n".join(
        [tell(life.checked.policy), *(f"{each.at_ns} {tell(each.what)}" for each in small.entries), str(small)]
    )


@pytest.mark.parametrize("first", _SEEDS[::_BATCH])
def test_the_invariants_hold_after_every_step(first: int) -> None:
    """I1 to I10 and I13, in 10 lives a test; 2 x 10^4 steps in all, 2 x 10^5 with 500 seeds."""
    for seed in range(first, first + (1 if _ONE else _BATCH)):
        life = Life(seed)
        try:
            life.live(_STEPS)
        except Broken as broken:
            pytest.fail(f"again: TAKT_SEED={seed} python -m pytest {__file__}\n{_told(life, broken)}")


def test_a_runner_that_sees_nothing_would_be_worthless() -> None:
    """The checks find what is broken by hand."""
    for damage in (_lose_weight, _assign_twice, _forget_timer, _pass_over, _miscount):
        checked = _at_work(tasks=6)
        checked.look_at_all()
        damage(checked)
        with pytest.raises(Broken):
            checked.look_at_all()


def _lose_weight(checked: Checked) -> None:
    next(iter(checked.engine.state.resources.values())).used -= 1


def _assign_twice(checked: Checked) -> None:
    held, waiting = (
        next(task for task in checked.engine.state.tasks.values() if task.state is state)
        for state in (TaskState.ASSIGNED, TaskState.QUEUED)
    )
    waiting.assignment = held.assignment


def _forget_timer(checked: Checked) -> None:
    state = checked.engine.state
    del state._armed["task", next(iter(state.tasks))]


def _pass_over(checked: Checked) -> None:
    """Somebody can do more, and nobody looks."""
    for resource in checked.engine.state.resources.values():
        resource.capacity += 1


def _miscount(checked: Checked) -> None:
    checked.engine.state.queues["q"].waiting += 1


def _at_work(*, tasks: int, agents: int = 2) -> Checked:
    """Agents who have accepted all that they can hold, and a line."""
    policy = Policy(queues={"q": QueuePolicy()}, lease=LeasePolicy(grace_s=GRACE_S))
    checked = Checked(policy)
    for number in range(agents):
        name = f"a{number}"
        put = PutResource(id=name, queues=("q",), channels={"chat": ChannelLimit()}, capacity=2)
        checked.do(Entry(BEGIN_NS, put))
        checked.do(Entry(BEGIN_NS, SetPresence(resource_id=name, presence="available", session="s")))
    for number in range(tasks):
        checked.do(Entry(BEGIN_NS + number * S, CreateTask(id=f"t{number}", queue="q")))
    for task in list(checked.engine.state.tasks.values()):
        for offer in task.offers:
            checked.do(Entry(BEGIN_NS + tasks * S, Accept(offer_id=offer.id)))
    return checked


def test_a_lost_agents_chats_wait_at_their_age_when_the_grace_is_over() -> None:
    """And not one of them before; they come before all who are younger."""
    checked = _at_work(tasks=8)
    state = checked.engine.state
    theirs = [task for task in state.tasks.values() if task.assignment and task.assignment.resource_id == "a0"]
    ages = {task.id: task.queued_ns for task in theirs}
    assert len(theirs) == 2
    now_ns = BEGIN_NS + 20 * S
    checked.do(Entry(now_ns, Suspect(resource_id="a0", session="s")))
    lost_ns = now_ns + GRACE_S * S
    while (due_ns := checked.engine.due_ns()) is not None and due_ns < lost_ns:
        checked.do(Entry(due_ns, Tick()))
        assert all(task.state is TaskState.ASSIGNED for task in theirs)
    assert due_ns == lost_ns, "within lease + grace, to the nanosecond: the lease is what told the suspect"
    checked.do(Entry(lost_ns, Tick()))
    assert all(task.state is TaskState.QUEUED and task.queued_ns == ages[task.id] for task in theirs)
    assert [state.position_of(task) for task in theirs] == [1, 2], "before the younger ones"
    checked.do(Entry(lost_ns, SetPresence(resource_id="a1", presence="available", session="s")))
    checked.do(Entry(lost_ns, PutResource(id="a2", queues=("q",), channels={"chat": ChannelLimit()}, capacity=2)))
    checked.do(Entry(lost_ns, SetPresence(resource_id="a2", presence="available", session="s")))
    assert all(task.offers[-1].state is OfferState.PENDING for task in theirs), "and the first who is free is asked"
