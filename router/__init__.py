"""Takt: decides what happens next with an interaction, who does it and when, within a latency budget.

How to read this package: start with `pipeline` (one decision, top to bottom), then `http/` (bytes to request, answer
to bytes) and `assembly` (how the parts are put together). `policy/` holds what a user configures, `log/` what was
decided, `telemetry/` what is seen from outside, `domain/` the words for all of it.
"""

from __future__ import annotations

__version__ = "0.1.0"
