"""`[webhooks.NAME]` of takt.toml: whom the engine's events are told."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from router.assign.event import TYPES
from router.webhooks.signature import key_of
from router.webhooks.url import check_url

if TYPE_CHECKING:
    from collections.abc import Iterable

_KNOWN = ("*", *dict.fromkeys(f"{each.partition('.')[0]}.*" for each in TYPES), *TYPES)
_MAX_CHARS = 100


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver of events. The name is yours: letters, digits, `_.-`, up to 64."""

    url: Annotated[str, Meta(description="where events are POSTed: https, or http to this machine")]
    secrets: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            max_length=4,
            description="`whsec_` and 24 to 64 random bytes as base64; each signs, so that one can replace another",
        ),
    ]
    types: Annotated[
        tuple[str, ...], Meta(min_length=1, description='which events: "task.assigned", "task.*", "*"')
    ] = ("task.*",)
    source: Annotated[
        str, Meta(pattern=r"^[!-~]{1,200}\Z", description="names this Takt in each event; a URI or a part of one")
    ] = "takt"
    timeout_ms: Annotated[
        float, Meta(ge=100, le=60_000, description="an answer that takes longer is a failure, ms")
    ] = 15_000.0
    max_inflight: Annotated[int, Meta(ge=1, le=256, description="requests at the same time")] = 8
    max_pending: Annotated[
        int, Meta(ge=1, le=100_000, description="events that wait for a retry, or behind one; more wait in the log")
    ] = 1_000
    max_dead: Annotated[
        int, Meta(ge=1, le=100_000, description="events given up that are kept; the oldest goes first")
    ] = 1_000
    first_retry_s: Annotated[
        float, Meta(gt=0, le=3_600, description="before the first retry; doubled for each further one, s")
    ] = 5.0
    longest_retry_s: Annotated[
        float, Meta(gt=0, le=86_400, description="at most so long between two, and for a Retry-After, s")
    ] = 3_600.0
    give_up_h: Annotated[float, Meta(gt=0, le=168, description="an event is retried for so long, then given up, h")] = (
        24.0
    )

    def __post_init__(self) -> None:
        check_url(self.url)
        for secret in self.secrets:
            key_of(secret)
        for each in self.types:
            if each not in _KNOWN:
                near = get_close_matches(each, _KNOWN, 1)
                hint = f"did you mean {near[0]!r}?" if near else 'write "task.assigned", "task.*" or "*"'
                raise ValueError(f"types: {each[:_MAX_CHARS]!r} is no type of event; {hint}")

    def __repr__(self) -> str:
        """Without what is secret, wherever this ends up."""
        return f"WebhookSettings(types={self.types!r})"


def idle(names: Iterable[str], queues: str) -> str:
    """What to say of webhooks of a server without queues. Args: queues: `files.queues`."""
    told = ", ".join(f"webhooks.{name}" for name in names)
    return (
        f"{told}: nothing is sent, because without queues there are no tasks; "
        f"files.queues = {queues!r} is no file: write one and name it there, or take the webhook out"
    )
