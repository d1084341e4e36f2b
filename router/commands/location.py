"""Where the project and its models are."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from models import store
from models.spec import MANIFEST_FILE
from router.commands.errors import CommandError
from router.commands.terminal import note

if TYPE_CHECKING:
    from router.config import Config

CONFIG_FILE = "takt.toml"
EXAMPLE = Path("examples/bank/takt.toml")


def find_config(stated: Path | None, *, or_example: bool = False) -> Path:
    """The stated takt.toml, else the one here, else, in a checkout, that of the example. Raises: CommandError."""
    if stated is not None:
        return stated
    here = Path(CONFIG_FILE)
    if here.exists():
        return here
    if or_example and EXAMPLE.exists():
        note(f"no {CONFIG_FILE} here: using the example project, {EXAMPLE}")
        return EXAMPLE
    raise CommandError(f"no {CONFIG_FILE} in this directory; name one with -c, or write a project with `takt init DIR`")


def has_models(config: Config) -> bool:
    """Whether anything was trained yet."""
    return (config.models_dir / MANIFEST_FILE).exists() or bool(store.versions(config.models_dir))


def require_models(config: Config, path: Path) -> None:
    """Raises: CommandError: nothing was trained yet; with the command that does."""
    if not has_models(config):
        raise CommandError(
            f"{shown(config.models_dir)}: no models yet; train them with `takt train{config_flag(path)}`"
        )


def config_flag(path: Path) -> str:
    """What to add to a command that a person may copy, so that it finds the same project."""
    return "" if path == Path(CONFIG_FILE) else f" -c {quote(str(path))}"


def shown(path: Path) -> str:
    """A path as people want to read it: relative where it is below the current directory."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
