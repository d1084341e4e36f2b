"""`takt loadtest`: the load tester, with the product as a target in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest import command

if TYPE_CHECKING:
    from argparse import Namespace

    from loadtest.engine.inproc import Target


def run(args: Namespace) -> int:
    """Hand over; only `--engine inproc` needs more of the product than that."""

    def target(allow_faults: bool) -> Target:  # noqa: FBT001 - its one argument
        from router.commands.location import find_config  # noqa: PLC0415 - load over a network needs none of it
        from router.inprocess import make_target  # noqa: PLC0415

        return make_target(find_config(args.config, or_example=True), allow_faults=allow_faults)

    return command.perform(args, target)
