"""`python -m loadtest.echo SETTINGS`: an echo server that prints its URL once it answers. SETTINGS: JSON."""

from __future__ import annotations

import sys

import msgspec

from loadtest.echo.server import run
from loadtest.echo.settings import EchoSettings


def _tell(url: str) -> None:
    print(url, flush=True)  # noqa: T201 - it is what the parent reads


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=EchoSettings), _tell)
