"""`takt init DIR`: a small, complete project, every line of it explained."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from router.commands.errors import CommandError
from router.commands.terminal import say

if TYPE_CHECKING:
    from argparse import Namespace

FILES = ("takt.toml", "routes.toml", "rules.toml", "queues.toml")


def run(args: Namespace) -> int:
    """Write the files of `router/templates`, or none where one of them exists."""
    taken = [name for name in FILES if (args.dir / name).exists()]
    if taken:
        raise CommandError(f"{args.dir}: {', '.join(taken)} would be overwritten; move aside or choose another DIR")
    try:
        args.dir.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            content = files("router").joinpath("templates", name).read_bytes()
            with (args.dir / name).open("xb") as file:
                file.write(content)
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be written ({error.strerror}); choose another DIR") from error
    say(f"Wrote {', '.join(str(args.dir / name) for name in FILES)}.", "Next:")
    if args.dir.resolve() != Path.cwd():
        say(f"  cd {quote(str(args.dir))}")
    say("  takt check", "  takt train", '  takt route "where is my parcel?"', "  takt serve")
    return 0
