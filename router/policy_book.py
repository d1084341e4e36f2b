"""The last versions of the assignment policy, beside the journal: which is in force, which was before, who kept each.

    start:     queues.toml ── changed since it last took effect? ──► it takes effect
                                   └── no ──► whatever was in force stays, also a version that the API activated
    activate:  Configure, durable ──► the book, durable ──► the answer

The engine's own state says what is in force; a book that a crash kept from being written catches up with it at a start.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from router.assign.policy import Policy
from router.log.journal import Row

if TYPE_CHECKING:
    from budgets.clock import Clock
    from router.log.journal import Journal

_LOGGER = logging.getLogger("takt.assign")
_VERSION, _BOOK = "policy-version", "policy-book"
MOST_VERSIONS = 20
FILE = "queues.toml"
"""Who kept a version that the API did not."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A version."""

    policy: Policy
    by: str
    at_ns: int
    """When it was kept, by the wall clock."""
    activated_ns: int = 0
    """When it last came into force; 0: never."""

    @property
    def version(self) -> str:
        return self.policy.version


class _Ends(msgspec.Struct, kw_only=True):
    """What the book says beside the versions, each by its name; empty: none."""

    active: str = ""
    previous: str = ""
    file: str = ""
    """Of the file that last took effect."""


_decode_kept, _decode_ends = msgspec.msgpack.Decoder(Kept).decode, msgspec.msgpack.Decoder(_Ends).decode


class PolicyBook:
    """Safety: one event loop."""

    def __init__(self, journal: Journal, clock: Clock, file: Policy) -> None:
        """Args: file: what queues.toml says."""
        self._journal, self._clock, self._file = journal, clock, file
        self._kept: dict[str, Kept] = {}  # the oldest first
        self._ends = _Ends()
        self._gone: set[str] = set()

    @property
    def active(self) -> str:
        return self._ends.active

    @property
    def previous(self) -> Kept | None:
        """What was in force before."""
        return self._kept.get(self._ends.previous)

    def versions(self) -> list[Kept]:
        """The newest first."""
        return list(reversed(self._kept.values()))

    def find(self, version: str) -> Kept | None:
        return self._kept.get(version)

    async def choose(self, found: Policy) -> Policy:
        """What shall be in force from this start on, given what was. Raises: LogUnavailable."""
        rows = await self._journal.side_rows(_VERSION)
        self._kept = {each.version: each for each in sorted((_decode_kept(row) for _, row in rows), key=_age)}
        for _, row in await self._journal.side_rows(_BOOK):
            self._ends = _decode_ends(row)
        if found.version:  # else nothing has ever been in force
            self.activated(found, FILE)
        if self._file.version == self._ends.file:
            if found.version != self._file.version:
                effect = "queues.toml has not changed since it last took effect: the version activated since then stays"
                _LOGGER.warning(
                    "policy_kept", extra={"version": found.version, "file": self._file.version, "effect": effect}
                )
            return found
        return self._file

    async def started(self, active: Policy) -> None:
        """The engine has begun with the policy that was chosen. Raises: LogUnavailable."""
        self.activated(active, FILE)
        self._ends.file = self._file.version
        await self.save()

    def keep(self, policy: Policy, by: str) -> tuple[Kept, bool]:
        """Returns with whether it is new; the oldest that nothing leads to makes room. `save` makes it durable."""
        if (known := self._kept.get(policy.version)) is not None:
            return known, False
        kept = self._kept[policy.version] = Kept(policy=policy, by=by, at_ns=self._clock.wall_ns())
        self._gone.discard(policy.version)
        ends = {policy.version, self._ends.active, self._ends.previous}
        for version in [each for each in self._kept if each not in ends][: max(0, len(self._kept) - MOST_VERSIONS)]:
            del self._kept[version]
            self._gone.add(version)
        return kept, True

    def activated(self, policy: Policy, by: str) -> None:
        """It has come into force. `save` makes it durable."""
        if policy.version == self._ends.active:
            return
        kept, _ = self.keep(policy, by)
        self._ends.previous, self._ends.active = self._ends.active, policy.version
        self._kept[policy.version] = msgspec.structs.replace(kept, activated_ns=self._clock.wall_ns())

    async def save(self) -> None:
        """Raises: LogUnavailable: it is not durable; the next one writes it as well."""
        gone = set(self._gone)
        await self._journal.write_side_rows(
            [
                Row(_BOOK, _BOOK, msgspec.msgpack.encode(self._ends)),
                *(Row(_VERSION, version, msgspec.msgpack.encode(kept)) for version, kept in self._kept.items()),
                *(Row(_VERSION, version, None) for version in gone),
            ]
        )
        self._gone -= gone


def _age(kept: Kept) -> int:
    return kept.at_ns
