"""An event as a request: CloudEvents 1.0 in JSON, signed as Standard Webhooks has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from router.webhooks.signature import key_of, sign

if TYPE_CHECKING:
    from router.assign.event import Event
    from router.webhooks.settings import WebhookSettings

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_NS_PER_S, _NS_PER_US = 1_000_000_000, 1_000
_ENCODER = msgspec.json.Encoder()


class Call(NamedTuple):
    """One POST."""

    url: str
    headers: dict[str, str]
    body: bytes


class Destination(Protocol):
    """Knows which events somebody wants and how they are told. Pure."""

    def wants(self, event: Event) -> bool: ...

    def call(self, event: Event, now_ns: int) -> Call:
        """The request, made anew for each attempt: `now_ns` (UTC) is signed."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md; `seq` is an extension."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    seq: int
    """Of the subject's events: 1, 2, 3, …; who sees a gap or a repeat knows it."""
    data: dict[str, Any]


class Webhook:
    """A receiver of signed events."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._url, self._source = settings.url, settings.source
        self._keys = tuple(key_of(secret) for secret in settings.secrets)
        self._whole = frozenset(settings.types)
        self._prefixes = tuple(each[:-1] for each in settings.types if each.endswith("*"))

    def wants(self, event: Event) -> bool:
        return event.type in self._whole or event.type.startswith(self._prefixes)

    def call(self, event: Event, now_ns: int) -> Call:
        body = _ENCODER.encode(
            CloudEvent(
                specversion="1.0",
                id=event.id,
                source=self._source,
                type=event.type,
                subject=event.subject,
                time=rfc3339(event.at_ns),
                datacontenttype="application/json",
                seq=event.seq,
                data=event.data,
            )
        )
        # The time is part of the id because a new log begins to count positions anew.
        message_id, timestamp_s = f"{event.id}-{event.at_ns:x}", now_ns // _NS_PER_S
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(self._keys, message_id, timestamp_s, body),
        }
        return Call(self._url, headers, body)


def rfc3339(at_ns: int) -> str:
    """UTC, to the microsecond."""
    moment = datetime.fromtimestamp(at_ns // _NS_PER_S, UTC).replace(microsecond=at_ns % _NS_PER_S // _NS_PER_US)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
