"""Another policy while work is in flight."""

from __future__ import annotations

from typing import Any

import pytest

from router.assign import command as do
from router.assign.entity import ChannelLimit
from router.assign.errors import BadCommand
from router.assign.transition import TaskState
from tests.desk_floor import Floor, policy

BOTH = {"chat": ChannelLimit(), "voice": ChannelLimit()}


def voice(**more: Any) -> dict[str, Any]:
    return {"queues": {"cards": {}}, "channels": {"voice": more}}


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_a_channel_that_becomes_exclusive_or_is_no_more_counts_so_at_once(is_exclusive: bool) -> None:
    floor = Floor(voice(exclusive=not is_exclusive))
    floor.agent("ana", channels=BOTH, capacity=9)
    floor.task("call", channel="voice")
    floor.accept("call")
    floor.do(do.Configure(policy=policy(voice(exclusive=is_exclusive))))
    assert (floor.task("chat").state is TaskState.QUEUED) is is_exclusive
    floor.do(do.CancelTask(task_id="call"))
    assert floor.asked("chat") == ["ana"]
    assert floor.task("another").state is TaskState.OFFERED


def test_offers_end_by_the_policy_in_force_also_after_a_restart() -> None:
    floor = Floor({"queues": {"cards": {"target_s": 3600}}, "channels": {"chat": {"accept_grace_ms": 0}}})
    floor.agent("ana")
    floor.task("t")
    grace = {"queues": {"cards": {"target_s": 3600}}, "channels": {"chat": {"accept_grace_ms": 5000}}}
    floor.do(do.Configure(policy=policy(grace)))
    assert floor.restored().due_ns() == floor.engine.due_ns()


@pytest.mark.parametrize(
    "wrong",
    [
        {"queues": {"cards": {"escalate_to": "nowhere"}}},
        {"queues": {"cards": {"overflow": [{"when": "True", "queue": "nowhere"}]}}},
        {"queues": {"cards": {"rank": "score", "score": "none"}}},
        {"queues": {"cards": {"hours": "none"}}},
        {"queues": {"cards": {}}, "hours": {"h": {"timezone": "Mars/Base"}}},
        {"queues": {"cards": {"steps": [{"when": "1 +"}]}}},
    ],
)
def test_a_policy_that_leads_nowhere_is_refused_and_changes_nothing(wrong: dict[str, Any]) -> None:
    floor = Floor({"queues": {"cards": {"overflow": [{"when": "waiting > 5", "then": "cancel"}]}}})
    conditions = dict(floor.engine.state.trigger_conditions)
    before = floor.engine.hash()
    with pytest.raises(BadCommand):
        floor.do(do.Configure(policy=policy(wrong)))
    assert floor.engine.hash() == before
    assert floor.engine.state.trigger_conditions == conditions
    assert floor.task("t").state is TaskState.QUEUED
