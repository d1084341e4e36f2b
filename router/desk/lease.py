"""Who has been heard lately. Heartbeats are no commands: thousands come each second, and only silence is news.

A resource that signed in has a lease; each heartbeat renews it. `due` tells, as commands, whose lease ran out and who
of those is back. Pure, and never stored: after a restart everybody who is signed in gets a fresh lease.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from router.assign.command import Restore, Suspect
from router.assign.transition import Presence

if TYPE_CHECKING:
    from router.assign.entity import Resource


class Leases:
    """The leases of all resources of one engine.

    Invariant: a resource is in at most one of `_heard` and `_overdue`; the first is in the order of the heartbeats.
    Cost: O(1) each. Safety: one event loop.
    """

    __slots__ = ("_back", "_heard", "_overdue", "ttl_ns")

    def __init__(self, ttl_ns: int) -> None:
        """Args: ttl_ns: how long a heartbeat counts; may be set to another value at any time."""
        self.ttl_ns = ttl_ns
        self._heard: OrderedDict[str, tuple[str, int]] = OrderedDict()  # resource -> session, time of the last
        self._overdue: dict[str, str] = {}  # resource -> session, of those whose `Suspect` was told
        self._back: dict[str, str] = {}  # the same, of those whose `Restore` was not told yet

    def __len__(self) -> int:
        return len(self._heard) + len(self._overdue)

    def opened(self, resource_id: str, session: str, now_ns: int, *, is_suspect: bool = False) -> None:
        """A resource signed in, or again with another session. `is_suspect`: it was silent when this process began."""
        self.closed(resource_id)
        if is_suspect:
            self._overdue[resource_id] = session
        else:
            self._heard[resource_id] = (session, now_ns)

    def renewed(self, resource_id: str, session: str, now_ns: int) -> bool:
        """A heartbeat; False when there is no lease of that session: it has to sign in again."""
        lease = self._heard.get(resource_id)
        if lease is not None and lease[0] == session:
            self._heard[resource_id] = (session, now_ns)
            self._heard.move_to_end(resource_id)
            return True
        if self._overdue.get(resource_id) != session:
            return False
        del self._overdue[resource_id]
        self._heard[resource_id] = (session, now_ns)
        self._back[resource_id] = session
        return True

    def closed(self, resource_id: str) -> None:
        """It signed out, was given up, or is gone."""
        self._heard.pop(resource_id, None)
        self._overdue.pop(resource_id, None)
        self._back.pop(resource_id, None)

    def follow(self, resource: Resource, now_ns: int) -> None:
        """Keep the lease of an agent who is signed in, as the engine has it now."""
        if resource.kind != "agent" or resource.presence is Presence.OFFLINE:
            self.closed(resource.id)
            return
        is_new = self.session_of(resource.id) != resource.session
        if is_new or (resource.id in self._overdue and not resource.is_suspect):
            self.opened(resource.id, resource.session, now_ns, is_suspect=resource.is_suspect)

    def session_of(self, resource_id: str) -> str | None:
        """The session that holds the lease; None: there is none."""
        lease = self._heard.get(resource_id)
        return self._overdue.get(resource_id) if lease is None else lease[0]

    def due_ns(self) -> int | None:
        """When `due` will have something to tell, if no heartbeat comes; None: never."""
        if self._back:
            return 0
        for _, heard_ns in self._heard.values():
            return heard_ns + self.ttl_ns
        return None

    def due(self, now_ns: int, most: int) -> list[Suspect | Restore]:
        """What has become of leases since the last call, told once: the returned first, then the silent longest."""
        told: list[Suspect | Restore] = []
        while self._back and len(told) < most:
            resource_id = next(iter(self._back))
            told.append(Restore(resource_id=resource_id, session=self._back.pop(resource_id)))
        while self._heard and len(told) < most:
            resource_id = next(iter(self._heard))
            session, heard_ns = self._heard[resource_id]
            if heard_ns + self.ttl_ns > now_ns:
                break
            del self._heard[resource_id]
            self._overdue[resource_id] = session
            told.append(Suspect(resource_id=resource_id, session=session))
        return told
