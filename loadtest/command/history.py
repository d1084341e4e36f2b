"""`takt loadtest history RUN`: what each request saw, as JSON lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loadtest.errors import PASSED, RunError
from loadtest.history import History
from loadtest.run import open_run
from loadtest.terminal import note

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> int:
    """Returns: 0. Raises: RunError: a directory that holds no run, or a file that cannot be written."""
    history = History(open_run(args.run))
    if args.out is None:
        sys.stdout.buffer.writelines(history.json_lines())
        return PASSED
    try:
        with args.out.open("wb") as file:
            file.writelines(history.json_lines())
    except OSError as error:
        raise RunError(f"{args.out}: cannot be written: {error.strerror}") from error
    note(f"written: {args.out}, {len(history):,} requests")
    return PASSED
