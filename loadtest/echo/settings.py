"""What an echo server is told. As JSON it is the argument of `python -m loadtest.echo`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class EchoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it answers."""

    delay: Annotated[
        str, Meta(description="a distribution: `5ms:90,50ms:9,500ms:1`, `exp(2ms)`, `lognormal(5ms, 0.5)`")
    ] = "0ms"
    serial: Annotated[bool, Meta(description="one request at a time: `delay` is the time of service")] = False
    error_share: Annotated[float, Meta(ge=0, le=1, description="share of answers that are a 500")] = 0.0
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="0: any free one")] = 0
    seed: Annotated[int, Meta(ge=0)] = 1
