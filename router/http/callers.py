"""Who asks, and how critical their requests may be at most."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from router.domain.interaction import Criticality
from router.http.credential import check_secret
from router.http.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST_KEY = 16


class CallerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sends the key of a caller is that caller. The name is yours: letters, digits, `_.-`, up to 64."""

    key: Annotated[str, Meta(description="its bearer token: 16 to 256 printable ASCII characters, no blank")]
    most_critical: Annotated[Criticality, Meta(description="its requests are no more critical than this")] = (
        Criticality.CRITICAL_PLUS
    )

    def __post_init__(self) -> None:
        check_secret("key", self.key, _LEAST_KEY)

    def __repr__(self) -> str:
        """Without the key, wherever this ends up."""
        return f"CallerSettings(most_critical={self.most_critical.value!r})"


class Caller(NamedTuple):
    """Who asks; `name` is None for who is not known."""

    name: str | None
    most_critical: Criticality

    def cap(self, stated: Criticality) -> Criticality:
        """What is granted: the stated one, lowered where it is above what the caller may ask for."""
        return stated if stated.rank >= self.most_critical.rank else self.most_critical


class Callers:
    """The callers of a configuration, found by their keys. Without any, everybody is nobody and needs no key."""

    def __init__(self, settings: Mapping[str, CallerSettings], most_critical: Criticality) -> None:
        self._nobody = Caller(None, most_critical)
        # How long a look-up takes may tell of the digests, and with a secret of ours in them these tell of no key.
        self._secret = secrets.token_bytes(32)
        self._by_digest = {
            self._digest(caller.key.encode()): Caller(name, caller.most_critical) for name, caller in settings.items()
        }

    def of(self, authorization: str | None) -> Caller:
        """Whose header `Authorization` this is. Raises: Unauthorized: it is there, and no caller's."""
        if authorization is None or not self._by_digest:
            return self._nobody
        scheme, _, given = authorization.partition(" ")
        # As it came: aiohttp keeps bytes that are no UTF-8 as surrogates.
        caller = self._by_digest.get(self._digest(given.strip().encode(errors="surrogateescape")))
        if caller is None or scheme.lower() != "bearer":
            raise Unauthorized(
                "Authorization: must be `Bearer KEY` with the key of a caller in takt.toml, or be left out"
            )
        return caller

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, digest_size=32, key=self._secret).digest()
