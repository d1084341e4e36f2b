"""`takt loadtest merge RUN... --out DIR`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.errors import PASSED
from loadtest.merge import merge
from loadtest.run import open_run
from loadtest.terminal import say

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> int:
    """Returns: 0. Raises: RunError: a run that is none, or that is not of the same scenario."""
    whole = merge([open_run(path) for path in args.runs], args.out)
    say(f"{args.out}: {len(whole.planned):,} requests of {len(args.runs)} runs; takt loadtest report {args.out}")
    return PASSED
