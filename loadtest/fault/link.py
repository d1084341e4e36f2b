"""One direction of one connection through the fault proxy: which bytes may leave when. Pure.

Bytes leave in the order in which they came, whatever the jitter: the first of the queue holds back the rest. A change
of the fault counts for the bytes that are held already, so an ended fault holds nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from loadtest.quantity import MS, S

if TYPE_CHECKING:
    import numpy as np

# What a link holds at most before its sender has to wait, as a router with a short queue does.
FULL_BYTES: Final = 256 * 1024
# A slow line delivers packets, not whole writes: the payload of an Ethernet frame.
PACKET_BYTES: Final = 1_460
END: Final = b""  # the sender will send no more

Delay = Annotated[float, Meta(ge=0, le=60_000)]


class ProxyFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with the network now; `{}` is nothing. Latencies are of each direction."""

    latency_ms: Delay = 0.0
    jitter_ms: Annotated[Delay, Meta(description="added to the latency, uniform from 0 to this")] = 0.0
    stall: Annotated[bool, Meta(description="nothing gets through; nothing is lost")] = False
    reset_share: Annotated[
        float, Meta(ge=0, le=1, description="share of reads of a connection that break it with a TCP reset")
    ] = 0.0
    bandwidth_kb_s: Annotated[float, Meta(gt=0, description="of each connection and direction")] | None = None


NO_FAULT: Final = ProxyFault()


class Link:
    """The queue of one direction."""

    def __init__(self, fault: ProxyFault, rng: np.random.Generator) -> None:
        self._fault, self._rng = fault, rng
        self._held: deque[tuple[int, float, bytes]] = deque()  # arrived, draw for the jitter, data
        self._held_bytes = 0
        self._free_ns = 0  # the slow line is busy until then

    @property
    def is_full(self) -> bool:
        return self._held_bytes >= FULL_BYTES

    @property
    def is_empty(self) -> bool:
        return not self._held

    def set(self, fault: ProxyFault, now_ns: int) -> None:
        """From now on this is wrong. What the line could have carried before, or still owes, is forgotten."""
        self._fault, self._free_ns = fault, now_ns

    def receive(self, data: bytes, now_ns: int) -> bool:
        """Take bytes in, or END. Returns: false: the connection must be reset, and the bytes are lost."""
        if data and self._fault.reset_share and self._rng.random() < self._fault.reset_share:
            return False
        draw = self._rng.random() if self._fault.jitter_ms else 0.0
        for at in range(0, max(1, len(data)), PACKET_BYTES):
            self._held.append((now_ns, draw, data[at : at + PACKET_BYTES]))
        self._held_bytes += len(data)
        return True

    def next_ns(self) -> int | None:
        """When the next bytes may leave; None: not before something changes."""
        if not self._held or self._fault.stall:
            return None
        arrived_ns, draw, _ = self._held[0]
        late_ns = int((self._fault.latency_ms + draw * self._fault.jitter_ms) * MS)
        return max(arrived_ns + late_ns, self._free_ns)

    def due(self, now_ns: int) -> list[bytes]:
        """Take out what may leave by now; the last may be END.

        Each packet counts from when it could have left, not from this call: a timer that fires late costs no bandwidth.
        """
        left = []
        while (at_ns := self.next_ns()) is not None and at_ns <= now_ns:
            _, _, data = self._held.popleft()
            self._held_bytes -= len(data)
            if self._fault.bandwidth_kb_s is not None:
                self._free_ns = at_ns + int(len(data) * S / (self._fault.bandwidth_kb_s * 1_000))
            left.append(data)
        return left
