"""`takt loadtest plan`: how many requests a claim needs, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.command.build import limited
from loadtest.errors import PASSED, ScenarioError
from loadtest.gate.expression import gate_of
from loadtest.quantity import number
from loadtest.sample_size import needed_table
from loadtest.scenario.spec import Rate
from loadtest.terminal import say, table

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> int:
    """Print a table for each condition. Raises: ScenarioError."""
    try:
        rate = number(args.rate)
        limited(rate, Rate)
    except ScenarioError as error:
        raise ScenarioError(f"--rate: {error}") from None
    for text in args.gate:
        for size in needed_table(gate_of(text), rate):
            say(f"{size.gate} with {size.confidence:.4g} confidence, at {rate:g} requests per second:")
            table(
                ("misses", "requests needed to pass", "minutes"),
                [(f"{row.misses}", f"{row.requests:,}", f"{row.minutes:.2f}") for row in size.rows],
            )
            say(
                f"To publish the share itself, within a twentieth of {1 - size.share:.4g}: {size.fixed_rounded:,} "
                f"requests, {size.fixed_minutes:.1f} minutes.",
                "Misses come in clusters where requests queue: a run then needs more, and says how many.",
                "",
            )
    return PASSED
