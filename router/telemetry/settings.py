"""The `[telemetry]` table of takt.toml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]


class TelemetrySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server tells about itself."""

    log_level: Annotated[LogLevel, Meta(description="The least severe log line that is written.")] = "info"
    log_format: Annotated[
        LogFormat,
        Meta(description="How log lines look on stderr; auto is text on a terminal and JSON elsewhere."),
    ] = "auto"
    otlp_endpoint: Annotated[
        str,
        Meta(
            pattern="^(https?://.+)?$",
            description="Where spans go by OTLP/HTTP, as http://localhost:4318/v1/traces; empty: nowhere.",
        ),
    ] = ""
    keep_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of the ordinary requests that get spans; late, degraded, failed ones do.",
        ),
    ] = 0.01
