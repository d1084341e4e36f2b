"""What a server can be told to break: the words of a fault's `set`. Those of a proxy are loadtest.fault.link's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from loadtest.scenario.spec import Share, Spec

_DelayMs = Annotated[float, Meta(ge=0, le=10_000)]


class RungFault(Spec, frozen=True, kw_only=True):
    """A rung that is slow, fails, or answers with NaN."""

    delay_ms: _DelayMs = 0.0
    error_share: Share = 0.0
    nan_share: Share = 0.0


class StoreFault(Spec, frozen=True, kw_only=True):
    """A decision log that is slow or cannot be written."""

    delay_ms: _DelayMs = 0.0
    down: bool = False


class Block(Spec, frozen=True, kw_only=True):
    """Stands still for so long, again and again."""

    block_ms: _DelayMs = 0.0


class ServerFaults(Spec, frozen=True, kw_only=True):
    """The body of PUT /v1/admin/faults, which a server started with `--allow-faults` takes."""

    large: RungFault = RungFault()
    small: RungFault = RungFault()
    store: StoreFault = StoreFault()
    loop: Block = Block()
    executor: Block = Block()
