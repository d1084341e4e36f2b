"""`takt serve`: the server, with a line to try it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

import msgspec
import uvloop

from models import store
from models.errors import DataError
from models.spec import read_manifest
from router.commands.errors import CommandError
from router.commands.location import find_config, require_models, shown
from router.commands.terminal import say
from router.config import load_config
from router.policy.errors import PolicyError
from router.policy.project import read_project, read_utterances
from router.server import serve
from router.telemetry.logs import configure

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from router.config import Config


def run(args: Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    path = find_config(args.config, or_example=True)
    config = _overridden(load_config(path, os.environ), args)
    require_models(config, path)
    ready = partial(_welcome, path, _sample(config), _alone(config))
    telemetry = config.settings.telemetry
    lines = configure(telemetry.log_level, telemetry.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(config, allow_faults=args.allow_faults, on_ready=ready))
    except OSError as error:
        refused = _listen_error(error, config)
        if refused is None:
            raise
        raise refused from error
    finally:
        lines.close()
    return 0


def _overridden(config: Config, args: Namespace) -> Config:
    """The configuration with --host and --port in it."""
    server = config.settings.server
    server = msgspec.structs.replace(
        server,
        host=server.host if args.host is None else args.host,
        port=server.port if args.port is None else args.port,
    )
    return msgspec.structs.replace(config, settings=msgspec.structs.replace(config.settings, server=server))


def _listen_error(error: OSError, config: Config) -> CommandError | None:
    """What to do about an address that can't be listened on; None: the error is about something else."""
    server = config.settings.server
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return CommandError(f"server.host: {server.host!r} is no address of this machine; try --host 127.0.0.1")
    reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "needs more rights than you have"}
    if error.errno not in reasons:
        return None
    return CommandError(
        f"server.port: {server.port} on {server.host} {reasons[error.errno]}; "
        "choose another with --port or TAKT__SERVER__PORT, 0 for any free one"
    )


def _sample(config: Config) -> str:
    """A text to try the project with: one of its utterances, where they are at hand."""
    try:
        rows = read_utterances(read_project(config.routes_path, config.rules_path))
    except (PolicyError, DataError):  # serving needs no utterances; what is wrong with routes is told when they load
        rows = []
    return rows[0].text if rows else "hello"


def _alone(config: Config) -> list[str]:
    """A line where there is one rung only, with the reasons that its training gave."""
    manifest = read_manifest(store.resolve(config.models_dir).path)
    if len(manifest.rungs) > 1:
        return []
    return [f"Serves rung {manifest.rungs[0].name} alone: {'; '.join(manifest.notes) or 'no other was trained'}"]


def _welcome(path: Path, sample: str, alone: list[str], url: str) -> None:
    body = quote(msgspec.json.encode({"text": sample, "budget_ms": 50}).decode())
    say(
        f"Takt serves {shown(path.resolve())} on {url}",
        "Try it:",
        f"  curl -s {url}/v1/interactions -H 'Content-Type: application/json' -d {body}",
        *alone,
        "Ctrl-C stops it.",
    )
    sys.stdout.flush()
