"""Section `[log]` of takt.toml."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where decisions and commands are kept, how surely, how many and how long."""

    path: Annotated[str, Meta(min_length=1, description="The SQLite file; its folder is made when missing.")] = (
        "var/takt.sqlite"
    )
    durability: Annotated[
        Literal["group", "commit"],
        Meta(
            description="group: answer at once; a crash may lose the last 50 ms of decisions (plus a stalled flush). "
            "commit: answer when the decision is on the disk, or at the end of the budget."
        ),
    ] = "group"
    queue: Annotated[
        int,
        Meta(ge=1, description="Decisions that may wait to be written; more are dropped and counted."),
    ] = 10_000
    command_queue: Annotated[
        int,
        Meta(
            ge=1,
            description="Commands on tasks and agents that may wait to be written; more are refused. None is answered "
            "before it is on the disk, whatever `durability` says.",
        ),
    ] = 10_000
    commit_interval_ms: Annotated[
        int, Meta(ge=1, le=20, description="Decisions of this many milliseconds share one disk flush.")
    ] = 20
    retention_days: Annotated[
        float,
        Meta(
            gt=0,
            description="Decisions, commands and ended tasks older than this many days are deleted, "
            "oldest first; never what an open task or a restart needs.",
        ),
    ] = 30.0
    max_bytes: Annotated[
        int,
        Meta(
            ge=1_000_000,
            description="When what is kept takes more bytes than this, the oldest of the same are deleted. "
            "The file keeps its size and reuses the space.",
        ),
    ] = 1_000_000_000
    text: Annotated[
        Literal["keep", "drop"],
        Meta(
            description="Whether the text of an interaction and its declared columns are kept with its decision. "
            "The context that a task was given is kept with its commands either way."
        ),
    ] = "keep"
