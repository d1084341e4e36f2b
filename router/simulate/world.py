"""world.toml: the customers and agents of a made-up day. Strict: an unknown key or a slot too few is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from router.assign.entity import ChannelLimit
from router.assign.policy import Level, Name, Policy, Share
from router.policy.errors import PolicyError
from router.policy.project import fit, parse_toml
from router.simulate.day import AT_ONCE, S, Spread

SLOT_S = 900
_MOST_CUSTOMERS = 200_000
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Span = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
PerHour = Annotated[float, Meta(ge=0, le=100_000)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An unknown key is refused."""


class Stream(_Strict, frozen=True, kw_only=True):
    """Customers of one sort. Their number an hour, or that of each quarter of an hour, is a mean: Poisson."""

    queue: Name
    channel: Name = "chat"
    per_hour: PerHour | None = None
    per_slot: Annotated[tuple[PerHour, ...], Meta(description="customers in each quarter of an hour")] = ()
    handling: Spread
    patience: Annotated[Spread | None, Meta(description="none: nobody leaves")] = None
    skills: dict[Name, Level] = {}
    priority: Annotated[int, Meta(ge=-100, le=100)] | None = None
    service_class: str = ""
    context: dict[str, str | float | bool] = {}


class Crew(_Strict, frozen=True, kw_only=True):
    """Agents who are alike, or bots."""

    count: Annotated[int, Meta(ge=1, le=10_000)]
    kind: Literal["agent", "bot", "recommender", "workflow"] = "agent"
    queues: Annotated[tuple[Name, ...], Meta(min_length=1)]
    channels: Annotated[dict[Name, Annotated[int, Meta(ge=1, le=1_000_000)]], Meta(min_length=1)]
    capacity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    skills: dict[Name, Level] = {}
    attributes: dict[str, str | float | bool] = {}
    cost: Annotated[float, Meta(ge=0)] = 0.0
    success: Annotated[Share, Meta(description="of a bot: share of customers who then need nobody else")] = 1.0
    shifts: Annotated[tuple[Span, ...], Meta(description="empty: all day")] = ()
    reaction: Annotated[Spread, Meta(description="from offer to accept")] = AT_ONCE
    wrap: Annotated[Spread, Meta(description="after the talk; no longer than the channel allows")] = AT_ONCE
    handling: Annotated[Spread | None, Meta(description="none: as long as the customer takes")] = None
    speed: Annotated[float, Meta(gt=0, le=100, description="2: takes half the time")] = 1.0
    decline_share: Share = 0.0
    miss_share: Annotated[Share, Meta(description="of offers that are not answered at all")] = 0.0


class World(_Strict, frozen=True, kw_only=True):
    """The whole file."""

    description: str = ""
    date: date = date(2026, 1, 5)
    timezone: str = "UTC"
    from_: Annotated[Clock, Meta(description="when customers begin to come")] = msgspec.field(name="from")
    to: Clock
    policies: Annotated[tuple[str, ...], Meta(description="queues.toml files, relative to this one")] = ()
    streams: Annotated[dict[Name, Stream], Meta(min_length=1)]
    crews: Annotated[dict[Name, Crew], Meta(min_length=1)]

    @property
    def slots(self) -> int:
        return (seconds(self.to) - seconds(self.from_)) // SLOT_S

    def at_ns(self, clock: str) -> int:
        """That time of the day, as ns since 1970."""
        midnight = datetime(self.date.year, self.date.month, self.date.day, tzinfo=ZoneInfo(self.timezone))
        # Wall-clock time: on a day of 23 hours, 8:00 is 8:00.
        return round((midnight + timedelta(seconds=seconds(clock))).timestamp()) * S

    def rates(self, stream: Stream) -> tuple[float, ...]:
        """Customers expected in each slot."""
        return stream.per_slot or ((stream.per_hour or 0.0) * SLOT_S / 3600,) * self.slots


def seconds(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def shipped() -> dict[str, Path]:
    """The worlds that come with Takt, by name."""
    folder = Path(str(files("router.simulate") / "worlds"))
    return {path.stem: path for path in sorted(folder.glob("*.toml")) if "." not in path.stem}


def find_world(stated: str) -> Path:
    """A file, or the name of a shipped world. Raises: PolicyError: neither."""
    path = Path(stated)
    if path.is_file():
        return path
    worlds = shipped()
    if stated not in worlds:
        raise PolicyError(f"{stated}: no such file, nor a world that comes with Takt: {', '.join(worlds)}")
    return worlds[stated]


def read_world(path: Path) -> World:
    """Raises: PolicyError naming file, key and what is allowed."""
    raw = parse_toml(path)
    for table, kind in (("streams", Stream), ("crews", Crew)):
        entries = raw.get(table)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            fit(entry, kind, f"{path}: {table}.{name}")
    world = fit(raw, World, str(path))
    _check_times(world, path)
    for name, stream in world.streams.items():
        _check_stream(world, stream, f"{path}: streams.{name}")
    customers = sum(sum(world.rates(stream)) for stream in world.streams.values())
    if customers > _MOST_CUSTOMERS:
        raise PolicyError(f"{path}: {customers:,.0f} customers are expected; at most {_MOST_CUSTOMERS:,} are allowed")
    return world


def _check_times(world: World, path: Path) -> None:
    try:
        ZoneInfo(world.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PolicyError(f"{path}: timezone: there is no {world.timezone!r}; allowed: as Europe/Berlin") from None
    length_s = seconds(world.to) - seconds(world.from_)
    if length_s <= 0 or length_s % SLOT_S:
        raise PolicyError(f"{path}: from {world.from_} to {world.to}: must be some quarters of an hour")
    for name, crew in world.crews.items():
        before = "00:00"
        for span in crew.shifts:
            start, end = span.split("-")
            if not seconds(before) <= seconds(start) < seconds(end):
                raise PolicyError(
                    f"{path}: crews.{name}.shifts: {span} must end after it begins, and follow the others"
                )
            before = end


def _check_stream(world: World, stream: Stream, where: str) -> None:
    if (stream.per_hour is None) == (not stream.per_slot):
        raise PolicyError(f"{where}: needs either per_hour or per_slot")
    if stream.per_slot and len(stream.per_slot) != world.slots:
        raise PolicyError(
            f"{where}.per_slot: has {len(stream.per_slot)} numbers; {world.from_} to {world.to} has {world.slots}"
            " quarters of an hour"
        )


def check_fit(world: World, policy: Policy, world_path: str, policy_path: str) -> None:
    """A world speaks of queues and skills that a policy must have. Raises: PolicyError."""
    for name, stream in world.streams.items():
        _check_known(stream.queue, policy, f"{world_path}: streams.{name}.queue", policy_path)
        _check_skills(tuple(stream.skills), policy, f"{world_path}: streams.{name}.skills", policy_path)
    for name, crew in world.crews.items():
        for queue in crew.queues:
            _check_known(queue, policy, f"{world_path}: crews.{name}.queues", policy_path)
        _check_skills(tuple(crew.skills), policy, f"{world_path}: crews.{name}.skills", policy_path)


def find_policies(world: World, path: Path) -> list[Path]:
    """The files that `policies` names. Raises: PolicyError: one is not there."""
    found = [path.parent / stated for stated in world.policies]
    for number, each in enumerate(found):
        if not each.exists():
            raise PolicyError(
                f"{path}: policies[{number}]: {world.policies[number]}: no such file beside it; "
                "name a queues.toml there, or with --policy"
            )
    return found


def find_unskilled(world: World, policy: Policy, world_path: str, policy_path: str) -> list[str]:
    """Crews that are never asked in a queue of theirs, for want of a skill that it asks for."""
    told = []
    for name, crew in world.crews.items():
        for queue in crew.queues:
            for skill, least in policy.queues[queue].skills.items():
                has, asks = crew.skills.get(skill, 0), f"queues.{queue} of {policy_path} asks for"
                if has < least:
                    lacks = f"has {skill} at {has} of the {least} that" if has else f"lacks {skill}, which"
                    told.append(f"{world_path}: crews.{name} {lacks} {asks}: it is never asked there")
    return told


def _check_known(queue: str, policy: Policy, where: str, policy_path: str) -> None:
    if queue not in policy.queues:
        raise PolicyError(f"{where}: {queue!r} is not a queue of {policy_path}; there are {', '.join(policy.queues)}")


def _check_skills(skills: tuple[str, ...], policy: Policy, where: str, policy_path: str) -> None:
    unknown = [skill for skill in skills if policy.skills and skill not in policy.skills]
    if unknown:
        raise PolicyError(f"{where}: {unknown[0]!r} is not in `skills` of {policy_path}: {', '.join(policy.skills)}")


def limits(crew: Crew) -> dict[str, ChannelLimit]:
    return {name: ChannelLimit(most=most) for name, most in crew.channels.items()}
