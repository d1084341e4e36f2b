"""The raw data of a run: one row for what was planned of each request, one for what came of it. Fixed width."""

from __future__ import annotations

import struct

import numpy as np

# What the schedule says. Times count from the start of the run.
PLANNED = np.dtype(
    [
        ("intended_ns", "<i8"),
        ("budget_ns", "<i8"),
        ("payload", "<i4"),
        ("phase", "u1"),
        ("criticality", "u1"),  # index into RunRecord.criticalities; 255: not said
        ("channel", "u1"),  # index into RunRecord.channels
        ("_", "u1"),
    ]
)
NOT_SAID = 255

# The contract's words, in its order; index 0: none was read.
RUNGS = ("", "guard", "large", "small", "cache", "rules", "default", "other")
DEGRADED = ("", "none", "budget", "overload", "breaker", "error", "cold", "other")
REASONS = ("", "guard", "model", "cache", "rule", "default", "unsure", "policy", "experiment", "other")
# What the server says of it itself: of an answer, whether it kept to the budget; else the problem's `code`.
SAID = (
    "", "in-time", "late", "deadline-expired", "deadline-unmeetable", "rejected-overload", "rejected-inflight",
    "rejected-draining", "unavailable", "malformed", "internal", "other",
)  # fmt: skip
STAGES = ("parse", "admit", "floor", "context", "cache", "queue", "infer", "policy", "assign", "encode", "loop")

NEVER = -1
# `status` where there is no HTTP status. NOTHING: no answer, no error either.
NOTHING, RESET, GAVE_UP, BAD_HTTP, BAD_ANSWER, REFUSED = 0, -1, -2, -3, -4, -5
ERRORS = {
    RESET: "connection lost",
    GAVE_UP: "no answer in time",
    BAD_HTTP: "bad HTTP",
    BAD_ANSWER: "not an answer",
    REFUSED: "connection refused",
}
SHED_STATUSES = (429, 503, 504)

# What happened. Times count from the start of the run, NEVER: it did not happen.
#   paced_ns  the generator handed the request to its engine (its lag: paced - intended)
#   sent_ns   it was written to a connection
#   first_ns  first byte of the answer; done_ns its last, or when it failed
SAMPLE = np.dtype(
    [
        ("paced_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("first_ns", "<i8"),
        ("done_ns", "<i8"),
        ("decision_high", "<u8"),
        ("decision_low", "<u8"),
        ("server_us", "<i4"),  # what the server says it took
        ("stages_us", "<i4", (len(STAGES),)),
        ("status", "<i2"),
        ("route", "<i2"),  # index into RunRecord.routes; NEVER: none
        ("rung", "u1"),
        ("degraded", "u1"),
        ("reason", "u1"),
        ("said", "u1"),
    ]
)
# The part that is written at once when an answer has come, from `first_ns` on.
ANSWERED = struct.Struct("<qqQQ12ihhBBBB")
ANSWERED_AT = SAMPLE.fields["first_ns"][1]  # type: ignore[index] # it has fields
MAX_REQUESTS = 10_000_000  # a run's files are 130 bytes a request


def empty(count: int) -> np.ndarray:
    """Rows of which nothing has happened yet."""
    rows = np.zeros(count, SAMPLE)
    for field in ("paced_ns", "sent_ns", "first_ns", "done_ns", "server_us", "route"):
        rows[field] = NEVER
    return rows
