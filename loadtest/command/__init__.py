"""The command line: one module a command, each with `run(args) -> exit code`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from loadtest.command.build import MakeTarget

_NEED_TARGET = {"run", "search"}


# Not `run`: importing loadtest.command.run puts the module in place of whatever has its name here.
def perform(args: Namespace, make_target: MakeTarget) -> int:
    """Run the action of `takt loadtest`. Args: make_target: for `--engine inproc`. Raises: LoadtestError."""
    module = import_module(f"loadtest.command.{args.action.replace('-', '_')}")
    code: int = module.run(args, make_target) if args.action in _NEED_TARGET else module.run(args)
    return code
