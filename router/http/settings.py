"""The `[server]` and `[agents]` tables of takt.toml."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router.domain.interaction import Criticality
from router.http.credential import check_secret

_LEAST_SECRET = 32


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens and what it puts up with."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="port to listen on; 0: any free one")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=1, description="worker processes; only 1 until state can be shared between them")
    ] = 1
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="open connections; one more is closed at once")
    ] = 4_096
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=16_777_216, description="a larger body is refused with 413")] = (
        65_536
    )
    max_batch_bytes: Annotated[int, Meta(ge=1_024, le=67_108_864, description="the same for a batch")] = 2_097_152
    body_timeout_ms: Annotated[
        float, Meta(gt=0, le=600_000, description="a body that takes longer to arrive is refused with 408, ms")
    ] = 5_000.0
    keepalive_s: Annotated[
        float, Meta(gt=0, le=86_400, description="an idle connection, or one with half a request line, is closed, s")
    ] = 75.0
    lame_duck_ms: Annotated[
        float,
        Meta(ge=0, le=600_000, description="after SIGTERM, how long /readyz fails before the port closes, ms"),
    ] = 0.0
    drain_ms: Annotated[
        float,
        Meta(ge=0, le=600_000, description="once the port is closed, how long open connections are still answered, ms"),
    ] = 1_000.0
    cors_origins: Annotated[
        tuple[str, ...], Meta(description='origins of browser frontends, as "https://shop.example"; "*" for any')
    ] = ()
    admin_token: Annotated[
        str, Meta(description="bearer token for /v1/admin, decisions, supervisors; empty: only loopback, and no proxy")
    ] = ""
    most_critical: Annotated[
        Criticality, Meta(description="requests without the key of a caller are no more critical than this")
    ] = Criticality.CRITICAL_PLUS
    idempotency_entries: Annotated[
        int, Meta(ge=1, le=10_000_000, description="answers kept for their Idempotency-Key; the oldest goes first")
    ] = 10_000
    idempotency_s: Annotated[float, Meta(gt=0, le=604_800, description="how long such an answer is kept, s")] = 600.0


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How agents' programs show whom they act for."""

    secret: Annotated[
        str,
        Meta(
            description="signs agents' tokens: 32 to 256 printable ASCII characters, no blank; empty: there are none",
        ),
    ] = ""

    def __post_init__(self) -> None:
        if self.secret:
            check_secret("secret", self.secret, _LEAST_SECRET)

    def __repr__(self) -> str:
        """Without the secret, wherever this ends up."""
        return "AgentSettings()"
