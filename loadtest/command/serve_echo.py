"""`takt loadtest serve-echo`: a server with known delays, to test load testers with."""

from __future__ import annotations

from argparse import Namespace

import msgspec

from loadtest.echo.server import run as serve
from loadtest.echo.settings import EchoSettings
from loadtest.errors import PASSED, ScenarioError
from loadtest.terminal import note, say


def run(args: Namespace) -> int:
    """Serve until Ctrl-C. Raises: ScenarioError: an argument that cannot be. Unreachable: the port is taken."""
    names = EchoSettings.__struct_fields__
    try:
        settings = msgspec.convert({name: getattr(args, name) for name in names}, EchoSettings)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"serve-echo: {error}") from None
    serve(settings, _tell)
    return PASSED


def _tell(url: str) -> None:
    say(url)
    note("answers every POST with its own body; its books are at /truth, as .npy; Ctrl-C ends it")
