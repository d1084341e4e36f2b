"""Random policies and resources for small worlds in which everything that the engine knows happens often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from router.assign.check import find_problems
from router.assign.command import PutResource
from router.assign.entity import ChannelLimit
from router.assign.policy import (
    BotPolicy,
    ChannelPolicy,
    ClassPolicy,
    HoursPolicy,
    LeasePolicy,
    MoodPolicy,
    Policy,
    QueuePolicy,
    RampPolicy,
    ScorePolicy,
    Step,
    Trigger,
)

if TYPE_CHECKING:
    from random import Random

CHANNELS = ("chat", "voice", "email")
CLASSES = ("standard", "vip")
_Rank = Literal["longest_idle", "least_load", "round_robin", "score", "cost"]
_WEEK: dict[Any, tuple[str, ...]] = {"mon": ("08:00-12:00", "13:00-18:00"), "tue": ("00:00-24:00",)}
QUEUES = ("q0", "q1", "q2", "q3")
SKILLS = ("german", "cards", "law")
KINDS = ("agent", "agent", "agent", "agent", "bot", "workflow")
RESOURCES = 12
_TRIGGERS = (
    "waiting > 3",
    "!is_open",
    "free == 0",
    "waited_s > 20.0",
    "priority < 2",
    "channel == 'chat'",
    "agents == 0",
)
_STEPS = ("resource.attributes.site == 'a'", "resource.cost < 0.5")


def policy(rng: Random) -> Policy:
    """A policy of one to four queues that `takt check` would let pass."""
    while True:
        made = _policy(rng)
        if not find_problems(made, lambda _condition, _facts: None):
            return made


def _policy(rng: Random) -> Policy:
    names = QUEUES[: rng.randint(1, 4)]
    return Policy(
        version=f"v{rng.randrange(1_000_000)}",
        channels={
            "chat": ChannelPolicy(
                offer_s=rng.choice((5.0, 20.0)),
                wrap_s=rng.choice((0.0, 5.0, 30.0)),
                wrap_weight=rng.choice((None, 0, 1)),
                pause_after_s=rng.choice((0.0, 10.0)),
                paused_weight=rng.choice((0, 1)),
                accept_grace_ms=rng.choice((0.0, 250.0)),
            ),
            "voice": ChannelPolicy(weight=rng.choice((1, 3)), exclusive=True, wrap_s=rng.choice((0.0, 10.0))),
            "email": ChannelPolicy(
                weight=2, wrap_s=0.0, lost=rng.choice(("requeue", "keep")), keep_s=rng.choice((0.0, 20.0)),
                paused_weight=rng.choice((0, 1))
            ),
        },
        classes={"vip": ClassPolicy(slope=3.0, boost_s=rng.choice((0.0, 30.0)), target_s=10.0)},
        queues={name: _queue(rng, names) for name in names},
        hours={"office": HoursPolicy(timezone="Europe/Berlin", week=_WEEK)},
        scores={"fit": ScorePolicy(weights={"task.priority": 0.1, "agent.cost": -0.5})},
        priority_s=rng.choice((0.0, 60.0)),
        ramp=rng.choice((RampPolicy(), RampPolicy(most=1, window_s=5.0, during_s=30.0))),
        lease=LeasePolicy(ttl_s=15.0, grace_s=rng.choice((0.0, 30.0))),
        bot=BotPolicy(max_turns=rng.choice((2, 8)), max_s=rng.choice((20.0, 300.0))),
        mood=MoodPolicy(),
        max_tasks=rng.choice((25, 200_000)),
        max_resources=rng.choice((8, 20_000)),
        max_requirements=rng.choice((6, 2_000)),
        keep_closed=rng.choice((0, 3, 20)),
        keep_keys=rng.choice((2, 100)),
        key_s=60.0,
    )  # fmt: skip


def _queue(rng: Random, names: tuple[str, ...]) -> QueuePolicy:
    triggers = [_trigger(rng, names) for _ in range(rng.choice((0, 0, 1, 2)))]
    rank: _Rank = rng.choice(("longest_idle", "longest_idle", "least_load", "round_robin", "score", "cost"))
    return QueuePolicy(
        priority=rng.choice((0, 0, 1)),
        target_s=rng.choice((5.0, 20.0)),
        warn_share=rng.choice((0.0, 0.5)),
        most=rng.choice((3, 10_000)),
        ttl_s=rng.choice((60.0, 600.0, 86_400.0)),
        hours=rng.choice((None, None, None, "office")),
        skills=rng.choice(({}, {}, {"cards": 2})),
        steps=rng.choice(((), (), _steps(rng, names))),
        rank=rank,
        idle_since=rng.choice(("release", "offer", "available")),
        score="fit" if rank == "score" else None,
        window_ms=rng.choice((0.0, 0.0, 250.0)),
        max_overtake_s=rng.choice((0.0, 10.0, 60.0)),
        parallel=rng.choice((1, 1, 1, 2, 3)),
        cooldown_s=rng.choice((0.0, 5.0, 60.0)),
        max_missed=rng.choice((1, 2)),
        missed_s=rng.choice((0.0, 10.0, 120.0)),
        overflow=tuple(sorted(triggers, key=lambda trigger: trigger.after_s)),
        escalate_to=rng.choice((None, rng.choice(names))),
    )


def _steps(rng: Random, names: tuple[str, ...]) -> tuple[Step, ...]:
    first = (
        Step(for_s=5.0, preferred=True),
        Step(for_s=10.0, skills={"german": rng.randint(1, 5)}),
        Step(for_s=5.0, kinds=("agent",)),
        Step(for_s=5.0, when=rng.choice(_STEPS)),
    )
    last = rng.choice((Step(), Step(queues=(rng.choice(names),))))
    return (*rng.sample(first, rng.randint(1, 3)), last)


def _trigger(rng: Random, names: tuple[str, ...]) -> Trigger:
    return Trigger(
        when=rng.choice(_TRIGGERS),
        after_s=rng.choice((0.0, 0.0, 5.0, 20.0)),
        queue=rng.choice((None, rng.choice(names))),
        priority=rng.choice((0, 0, 5)),
        then=rng.choice(("", "", "", "callback", "cancel")),
    )


def resource(rng: Random, policy: Policy, number: int) -> PutResource:
    """A resource as somebody might describe it."""
    return PutResource(
        id=f"r{number}",
        kind=rng.choice(KINDS),
        queues=tuple(rng.sample(tuple(policy.queues), rng.randint(1, len(policy.queues)))),
        channels={
            name: ChannelLimit(most=rng.choice((1, 2, 1_000_000)), weight=rng.choice((None, None, 1, 2)))
            for name in rng.sample(CHANNELS, rng.randint(1, 3))
        },
        capacity=rng.choice((1, 2, 3, 3, 5)),
        reserve=rng.choice((0, 0, 1)),
        skills={name: rng.randint(1, 5) for name in rng.sample(SKILLS, rng.randint(0, 3))},
        attributes={"site": rng.choice(("a", "b"))},
        cost=rng.choice((0.0, 0.4, 2.0)),
        success=rng.choice((1.0, 0.6)),
    )
