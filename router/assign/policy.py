"""queues.toml: queues, channels, skills, hours and how tasks meet agents. One value, versioned, checked whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Level = Annotated[int, Meta(ge=1, le=5)]
Share = Annotated[float, Meta(ge=0, le=1)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An unknown key refuses to start."""


class ChannelPolicy(_Strict, frozen=True, kw_only=True):
    """How a kind of conversation is offered and held."""

    weight: Annotated[int, Meta(ge=1, le=1_000, description="of an agent's capacity")] = 1
    exclusive: Annotated[bool, Meta(description="whoever holds one holds nothing else")] = False
    paused_weight: Annotated[int, Meta(ge=0, le=1_000, description="what a paused one holds")] = 0
    wrap_weight: Annotated[int | None, Meta(description="what a wrap-up holds; none: the whole weight")] = None
    offer_s: Annotated[float, Meta(ge=5, le=900, description="how long an offer stands")] = 30.0
    accept_grace_ms: Annotated[float, Meta(ge=0, le=5_000, description="a late accept that still counts")] = 250.0
    wrap_s: Annotated[float, Meta(ge=0, le=900, description="the longest wrap-up; 0: none")] = 30.0
    pause_after_s: Annotated[float, Meta(ge=0, le=86_400, description="customer silent; 0: never paused")] = 0.0
    lost: Annotated[Literal["requeue", "keep"], Meta(description="when its agent is lost or signs out")] = "requeue"
    keep_s: Annotated[float, Meta(ge=0, le=7_776_000, description="kept so long, then requeued; 0: for ttl_s")] = 0.0


class ClassPolicy(_Strict, frozen=True, kw_only=True):
    """How a class of customers ages: urgency is priority x step + slope x age + boost near the target, in seconds."""

    slope: Annotated[float, Meta(gt=0, le=1_000, description="seconds of urgency a second of waiting")] = 1.0
    boost_s: Annotated[float, Meta(ge=0, le=86_400, description="added as the target comes near")] = 0.0
    target_s: Annotated[float, Meta(gt=0, description="accepted within; none: the queue's")] | None = None


class Step(_Strict, frozen=True, kw_only=True):
    """Whom a task is offered to during one stretch of its wait."""

    for_s: Annotated[float, Meta(ge=0, le=86_400, description="none: the last step")] | None = None
    skills: dict[Name, Level] = {}
    kinds: Annotated[
        tuple[Literal["agent", "bot", "recommender", "workflow"], ...], Meta(description="empty: any")
    ] = ()
    when: Annotated[str | None, Meta(description="CEL on `resource` and its attributes")] = None
    preferred: Annotated[bool, Meta(description="only the task's preferred resources")] = False
    queues: Annotated[tuple[Name, ...], Meta(description="agents of these queues as well")] = ()


class Trigger(_Strict, frozen=True, kw_only=True):
    """What happens to a task whose queue can't take it, or has not, under a condition."""

    when: Annotated[str, Meta(description="CEL: waiting, ewt_s, agents, free, is_open, waited_s, priority, channel, …")]
    after_s: Annotated[float, Meta(ge=0, le=86_400, description="of waiting; 0: as it comes in")] = 0.0
    queue: Annotated[Name | None, Meta(description="moves there")] = None
    priority: Annotated[int, Meta(ge=-100, le=100, description="added")] = 0
    then: Annotated[Literal["", "callback", "cancel"], Meta(description="or is called back, or turned away")] = ""


class QueuePolicy(_Strict, frozen=True, kw_only=True):
    """One waiting line."""

    description: str = ""
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    target_s: Annotated[float, Meta(gt=0, le=86_400, description="service level: accepted within")] = 20.0
    warn_share: Annotated[float, Meta(ge=0, lt=1, description="of the target, then a warning is told; 0: never")] = 0.0
    short_abandon_s: Annotated[float, Meta(ge=0, le=600, description="who leaves sooner is not counted")] = 0.0
    most: Annotated[int, Meta(ge=1, le=1_000_000, description="waiting at once")] = 10_000
    ttl_s: Annotated[
        float, Meta(gt=0, le=7_776_000, description="given up then: waiting, or silent in somebody's hands")
    ] = 86_400.0
    hours: Annotated[Name | None, Meta(description="of [hours.NAME]; none: always open")] = None
    skills: dict[Name, Level] = {}
    steps: Annotated[tuple[Step, ...], Meta(max_length=16)] = ()
    rank: Annotated[
        Literal["longest_idle", "least_load", "round_robin", "score", "cost"] | None,
        Meta(description="which agent; none: least_load for chat, else longest_idle"),
    ] = None
    idle_since: Annotated[Literal["release", "offer", "available"], Meta(description="the idle clock")] = "release"
    score: Annotated[Name | None, Meta(description="of [scores.NAME], for rank = score")] = None
    window_ms: Annotated[float, Meta(ge=0, le=250, description="gather for matching in batches; 0: at once")] = 0.0
    max_overtake_s: Annotated[float, Meta(ge=0, le=86_400, description="no younger one is preferred by score")] = 60.0
    urgency_share: Annotated[float, Meta(ge=0, le=100, description="of batch matching: what age weighs")] = 0.5
    fairness_share: Annotated[float, Meta(ge=0, le=100, description="of batch matching: what idleness weighs")] = 0.0
    parallel: Annotated[int, Meta(ge=1, le=10, description="agents that are asked at the same time")] = 1
    cooldown_s: Annotated[float, Meta(ge=0, le=3_600, description="after a decline or an expiry")] = 60.0
    max_missed: Annotated[int, Meta(ge=1, le=100, description="expiries in a row before `missed`")] = 2
    missed_s: Annotated[float, Meta(ge=0, le=86_400, description="then available again after")] = 120.0
    overflow: Annotated[tuple[Trigger, ...], Meta(max_length=16)] = ()
    escalate_to: Annotated[Name | None, Meta(description="where a bot's task goes; none: this queue, people only")] = (
        None
    )
    aht_s: Annotated[float, Meta(gt=0, le=86_400, description="handling time until one has been measured")] = 300.0


class RampPolicy(_Strict, frozen=True, kw_only=True):
    """Against the morning flood: who has just become available is not given everything at once."""

    most: Annotated[int, Meta(ge=0, le=100, description="new tasks in each window; 0: no ramp")] = 0
    window_s: Annotated[float, Meta(gt=0, le=600)] = 20.0
    during_s: Annotated[float, Meta(gt=0, le=86_400, description="after becoming available")] = 900.0


class HoursPolicy(_Strict, frozen=True, kw_only=True):
    """When a queue is open: `mon = ["08:00-12:00", "13:00-18:00"]`, in a time zone, but for `closed` dates."""

    timezone: str = "UTC"
    week: dict[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], tuple[str, ...]] = {}
    closed: tuple[str, ...] = ()


class LeasePolicy(_Strict, frozen=True, kw_only=True):
    ttl_s: Annotated[float, Meta(ge=1, le=600, description="without a heartbeat: suspect")] = 15.0
    grace_s: Annotated[float, Meta(ge=0, le=3_600, description="then lost")] = 30.0


class BotPolicy(_Strict, frozen=True, kw_only=True):
    """No bot keeps a customer longer than this."""

    max_turns: Annotated[int, Meta(ge=1, le=1_000)] = 8
    max_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    max_failed: Annotated[int, Meta(ge=1, le=100)] = 2


class MoodPolicy(_Strict, frozen=True, kw_only=True):
    """When a conversation counts as upset, and when no more. Sentiments are -1 to 1."""

    floor: Annotated[float, Meta(ge=-1, le=1, description="one at or below this")] = -0.6
    slope: Annotated[float, Meta(ge=-2, le=2, description="a fall a turn over three")] = -0.15
    calm_after: Annotated[int, Meta(ge=1, le=10, description="positive ones in a row")] = 3
    priority: Annotated[int, Meta(ge=0, le=100, description="added while upset")] = 2


class ScorePolicy(_Strict, frozen=True, kw_only=True):
    """A model of the outcome, given a task and an agent."""

    kind: Literal["linear", "onnx"] = "linear"
    file: Annotated[str, Meta(description="of an ONNX model, relative to queues.toml")] = ""
    bias: float = 0.0
    weights: Annotated[dict[str, float], Meta(description="feature or `task feature * agent feature`")] = {}


class Policy(_Strict, frozen=True, kw_only=True):
    """The whole file."""

    version: str = ""
    """Of its content; set when it is read."""
    channels: dict[Name, ChannelPolicy] = {}
    classes: dict[Name, ClassPolicy] = {}
    queues: dict[Name, QueuePolicy]
    hours: dict[Name, HoursPolicy] = {}
    scores: dict[Name, ScorePolicy] = {}
    skills: Annotated[tuple[Name, ...], Meta(description="those there are; empty: any")] = ()
    priority_s: Annotated[float, Meta(ge=0, le=86_400, description="seconds of waiting that a priority is worth")] = (
        60.0
    )
    ramp: RampPolicy = RampPolicy()
    lease: LeasePolicy = LeasePolicy()
    bot: BotPolicy = BotPolicy()
    mood: MoodPolicy = MoodPolicy()
    max_tasks: Annotated[int, Meta(ge=1, le=10_000_000, description="open at once")] = 200_000
    max_resources: Annotated[int, Meta(ge=1, le=1_000_000, description="known")] = 20_000
    max_requirements: Annotated[int, Meta(ge=1, le=100_000, description="different requirements at once")] = 2_000
    keep_closed: Annotated[int, Meta(ge=0, le=1_000_000, description="ended tasks kept in memory")] = 10_000
    keep_keys: Annotated[int, Meta(ge=0, le=10_000_000, description="idempotency keys remembered")] = 100_000
    key_s: Annotated[float, Meta(gt=0, le=604_800, description="for so long")] = 86_400.0


STEP_FACTS: dict[str, Any] = {
    "resource": {
        "id": "ana", "kind": "agent", "name": "Ana", "queues": ["cards"], "skills": {"cards": 3}, "attributes": {},
        "capacity": 1, "cost": 1.0, "success": 1.0,
    },
}  # fmt: skip
"""What a step's `when` may name, with an example of each, by which it is checked. An empty map may have any keys."""
TRIGGER_FACTS: dict[str, Any] = {
    "waiting": 1, "ewt_s": 60.0, "agents": 1, "free": 1, "is_open": True, "waited_s": 60.0, "priority": 0,
    "channel": "chat", "service_class": "standard", "customer_id": "c-1", "context": {}, "is_callback": False,
    "is_upset": False,
}  # fmt: skip
"""The same of a trigger's. `ewt_s` is infinite where nobody is signed in."""
BUILT_IN = {
    "voice": ChannelPolicy(exclusive=True, offer_s=20.0),
    "chat": ChannelPolicy(),
    "email": ChannelPolicy(offer_s=300.0, lost="keep"),
}
"""Channels that need no configuration; any other has the defaults of `ChannelPolicy`."""
