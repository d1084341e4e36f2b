"""Who comes first: priority, age and the nearness of the target, all in thousandths of a nanosecond of waiting.

`U(t) = priority x priority_s + slope x age + boost_s x max(0, 1 - slack / target)`: an accumulating priority queue
(Kleinrock 1964; Stanford, Taylor and Ziedins 2014) with a boost for service levels. Its first two parts keep their
order while time passes, so a line is sorted once. Whole numbers, because floats of this size are too coarse for ns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from router.assign.policy import ClassPolicy

if TYPE_CHECKING:
    from router.assign.entity import Task
    from router.assign.policy import Policy

_STANDARD = ClassPolicy()
_MILLI = 1_000


def class_of(policy: Policy, name: str) -> ClassPolicy:
    return policy.classes.get(name, _STANDARD)


def slope_milli(policy: Policy, service_class: str) -> int:
    return _milli(class_of(policy, service_class).slope)


@lru_cache(maxsize=1_000)
def _milli(slope: float) -> int:
    return max(1, round(slope * _MILLI))


def priority_of(policy: Policy, task: Task) -> int:
    """Its own and what being upset adds."""
    return task.priority + (policy.mood.priority if task.is_upset else 0)


def order_of(policy: Policy, task: Task) -> int:
    """The place in the line of its class: the smaller, the more urgent at any time."""
    return slope_milli(policy, task.service_class) * task.queued_ns - _worth(policy, task)


def _worth(policy: Policy, task: Task) -> int:
    """What its priority is worth."""
    priority = priority_of(policy, task)
    return priority * round(policy.priority_s * 1e9) * _MILLI if priority else 0


def urgency(policy: Policy, task: Task, now_ns: int) -> int:
    """At a time, to compare tasks of different classes."""
    of = class_of(policy, task.service_class)
    steady = _milli(of.slope) * (now_ns - task.queued_ns) + _worth(policy, task)
    if not of.boost_s or not task.target_ns:
        return steady
    slack_s = (task.target_ns - now_ns) / 1e9
    nearness = min(1.0, max(0.0, 1.0 - slack_s / task.target_s))
    return steady + int(of.boost_s * nearness * 1e12)


def ceiling(policy: Policy, service_class: str, now_ns: int) -> int:
    """What the urgency of a task of a class and its place in the line can't exceed together: its target is now."""
    of = class_of(policy, service_class)
    return _milli(of.slope) * now_ns + int(of.boost_s * 1e12)
