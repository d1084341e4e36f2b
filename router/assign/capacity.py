"""What a resource holds and what it still can: weights, tasks at once by channel, exclusive channels, the reserve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.assign.entity import UNBOUNDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.assign.entity import ChannelLimit, Resource


@dataclass(slots=True)
class Load:
    """Derived from what a resource holds: tasks with a weight, by channel, and how many of exclusive channels."""

    counts: dict[str, int] = field(default_factory=dict)
    exclusive: int = 0

    def add(self, channel: str, *, is_exclusive: bool, sign: int = 1) -> None:
        self.counts[channel] = self.counts.get(channel, 0) + sign
        if not self.counts[channel]:
            del self.counts[channel]
        self.exclusive += sign * is_exclusive


def weight_for(resource: Resource, channel: str, weight: int) -> int:
    """What a task weighs with this resource: its own word for the channel goes first."""
    limit = resource.channels.get(channel)
    return weight if limit is None or limit.weight is None else limit.weight


def usual_capacity(channels: Mapping[str, ChannelLimit], weights: Mapping[str, int]) -> int:
    """For who states none: the most tasks of one channel, or one task where no `most` is stated."""
    return max(
        (1 if limit.most >= UNBOUNDED else limit.most) * (limit.weight or weights[channel])
        for channel, limit in channels.items()
    )  # fmt: skip


def fits(
    resource: Resource, load: Load, channel: str, weight: int, *, is_exclusive: bool, is_back: bool = False
) -> bool:
    """Whether one more task of this channel can be held. `is_back`: a paused one, for which the reserve is kept."""
    limit = resource.channels.get(channel)
    if limit is None or load.counts.get(channel, 0) >= limit.most:
        return False
    if load.exclusive or (is_exclusive and load.counts):
        return False
    kept = 0 if is_back else resource.reserve
    return resource.used + weight_for(resource, channel, weight) <= resource.capacity - kept


def slots(resource: Resource, channel: str, weight: int, *, is_exclusive: bool) -> int:
    """How many tasks of this channel it could hold at once, if it held nothing else."""
    limit = resource.channels[channel]
    by_weight = (resource.capacity - resource.reserve) // max(1, weight_for(resource, channel, weight))
    return min(limit.most, by_weight, 1 if is_exclusive else by_weight)
