"""A day as it is played: who comes, how long they take and wait, and who is there. The same under every policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist
from typing import Annotated, Literal

import msgspec

from router.assign.command import CreateTask, PutResource

S = 1_000_000_000
_NORMAL = NormalDist()
_SCALE = 2.0**-64


class Spread(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time that varies: `{ kind = "lognormal", mean_s = 300, cv = 0.8 }`."""

    mean_s: Annotated[float, msgspec.Meta(ge=0, le=86_400, description="seconds in the mean")]
    kind: Annotated[Literal["exponential", "lognormal", "constant"], msgspec.Meta(description="the distribution")] = (
        "exponential"
    )
    cv: Annotated[float, msgspec.Meta(gt=0, le=10, description="of lognormal: standard deviation / mean")] = 1.0

    def at_ns(self, share: float) -> int:
        """The quantile: `share` of all take no longer. 0 < share < 1."""
        match self.kind:
            case "exponential":
                seconds = -self.mean_s * math.log1p(-share)
            case "lognormal":
                variance = math.log1p(self.cv * self.cv)
                seconds = self.mean_s * math.exp(math.sqrt(variance) * _NORMAL.inv_cdf(share) - variance / 2)
            case _:
                seconds = self.mean_s
        return round(seconds * S)


AT_ONCE = Spread(mean_s=0, kind="constant")


@dataclass(frozen=True, slots=True)
class Sampled:
    """A time that was measured: drawn again from what was seen."""

    seen_ns: tuple[int, ...]
    """Ascending, at least one."""

    def at_ns(self, share: float) -> int:
        return self.seen_ns[int(share * len(self.seen_ns))]


def shares(seed: int, name: str) -> tuple[float, float, float]:
    """Three even draws from (0, 1), the same for the same seed and name: what one offer meets is chance, not order."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=24).digest()
    first, second, third = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16))
    return (first + 0.5) * _SCALE, (second + 0.5) * _SCALE, (third + 0.5) * _SCALE


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One who comes. `patience_ns` is for each wait; None: never leaves."""

    at_ns: int
    stream: str
    task: CreateTask
    handling_ns: int
    patience_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One who is there during `shifts` (from, to). A bot accepts by itself, so has no reaction."""

    resource: PutResource
    shifts: tuple[tuple[int, int], ...]
    reaction: Spread | Sampled = AT_ONCE
    wrap: Spread | Sampled = AT_ONCE
    handling: Spread | Sampled | None = None
    """None: as long as the customer takes."""
    speed: float = 1.0
    decline_share: float = 0.0
    miss_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """From `start_ns` to `end_ns` customers come; who is being served then is served to the end."""

    start_ns: int
    end_ns: int
    customers: tuple[Customer, ...]
    """Ascending in `at_ns`."""
    agents: tuple[Agent, ...]
    seed: int
