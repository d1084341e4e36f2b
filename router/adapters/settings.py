"""`[adapters.…]` of takt.toml: which systems ask Takt for agents."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from router.webhooks.url import check_url

_NAME, _PREFIX = r"^[A-Za-z0-9_.-]{1,64}\Z", r"^[A-Za-z0-9_.:@+~-]{0,64}\Z"
Name = Annotated[str, Meta(pattern=_NAME)]
_LEAST_TOKEN = 16


class RocketChatSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rocket.Chat's external routing and its Omnichannel webhooks."""

    token: Annotated[
        str, Meta(description="secret token of the routing method and of the webhooks, 16 characters or more")
    ]
    queue: Annotated[str, Meta(pattern=_NAME, description="whose agents answer where no department says otherwise")]
    departments: Annotated[dict[str, Name], Meta(description="ids of departments and the queues that they mean")] = {}
    channel: Annotated[str, Meta(pattern=_NAME, description="of [channels.NAME] in queues.toml")] = "chat"
    agent_prefix: Annotated[
        str, Meta(pattern=_PREFIX, description="the id of an agent's resource is this and the username in Rocket.Chat")
    ] = ""
    patience_ms: Annotated[
        float, Meta(ge=0, le=10_000, description="how long a question waits for somebody to be free, ms")
    ] = 500.0
    hold_s: Annotated[
        float, Meta(ge=1, le=600, description="an agent is held so long for a chat that has not begun, s")
    ] = 30.0
    asks: Annotated[int, Meta(ge=1, le=100, description="requests by which Rocket.Chat asks for one agent")] = 10
    asks_within_ms: Annotated[float, Meta(ge=0, le=60_000, description="requests of one question come within, ms")] = (
        2_000.0
    )

    def __post_init__(self) -> None:
        _check_token("token", self.token)

    def __repr__(self) -> str:
        return f"RocketChatSettings(queue={self.queue!r})"


class ChatwootSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chatwoot's webhooks, and its API by which conversations are assigned."""

    url: Annotated[str, Meta(description="of the installation: https, or http to this machine")]
    account: Annotated[int, Meta(ge=1, description="id of the account")]
    api_token: Annotated[str, Meta(description="access token of an agent bot or an administrator, for assignments")]
    queue: Annotated[str, Meta(pattern=_NAME, description="whose agents answer where no inbox says otherwise")]
    secret: Annotated[str, Meta(description="of the webhook: signs what comes")] = ""
    token: Annotated[
        str, Meta(description="?token= of the webhook's URL, for versions of Chatwoot that sign nothing")
    ] = ""
    inboxes: Annotated[dict[str, Name], Meta(description="ids of inboxes and the queues that they mean")] = {}
    channel: Annotated[str, Meta(pattern=_NAME, description="of [channels.NAME] in queues.toml")] = "chat"
    channels: Annotated[
        dict[str, Name], Meta(description='other channels by Chatwoot\'s names, as "Channel::Email" = "email"')
    ] = {}
    agent_prefix: Annotated[
        str,
        Meta(
            pattern=_PREFIX, description="the id of an agent's resource is this and the number of the user in Chatwoot"
        ),
    ] = ""
    timeout_ms: Annotated[float, Meta(ge=100, le=60_000, description="a call that takes longer is repeated, ms")] = (
        10_000.0
    )

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.secret and not self.token:
            raise ValueError("secret or token: one of them is needed, or anybody could send events")
        for key, value in (("secret", self.secret), ("token", self.token)):
            if value:
                _check_token(key, value)
        _check_token("api_token", self.api_token)

    def __repr__(self) -> str:
        return f"ChatwootSettings(account={self.account}, queue={self.queue!r})"


class AdapterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Those that are there are on."""

    rocketchat: RocketChatSettings | None = None
    chatwoot: ChatwootSettings | None = None


def find_problems(settings: AdapterSettings, queues: Container[str]) -> Iterator[str]:
    """Queues that an adapter names and queues.toml does not have."""
    named: list[tuple[str, str]] = []
    if (rocketchat := settings.rocketchat) is not None:
        named.append(("rocketchat.queue", rocketchat.queue))
        named += [(f"rocketchat.departments.{key}", queue) for key, queue in rocketchat.departments.items()]
    if (chatwoot := settings.chatwoot) is not None:
        named.append(("chatwoot.queue", chatwoot.queue))
        named += [(f"chatwoot.inboxes.{key}", queue) for key, queue in chatwoot.inboxes.items()]
    for key, queue in named:
        if queue not in queues:
            yield f"adapters.{key} = {queue!r}: there is no such queue in queues.toml"


def _check_token(key: str, value: str) -> None:
    """Also keeps line ends out of headers."""
    if len(value) < _LEAST_TOKEN or not value.isascii() or not value.isprintable():
        raise ValueError(f"{key}: must be {_LEAST_TOKEN} printable ASCII characters or more")
