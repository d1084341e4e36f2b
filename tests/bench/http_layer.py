"""What aiohttp's web.Application costs over its low-level web.Server, under the same handler (docs/adr/0008).

python -m tests.bench.http_layer [--blocks 10] [--seconds 0.7] [--json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from tests.bench import report
from tests.bench.interleaved import compare, show
from tests.bench.server_process import ServerProcess, takt
from tests.bench.traffic import unseen_requests


def main() -> None:
    """Print what the application layer adds to an echo and to a decision."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--blocks", type=int, default=10)
    arguments.add_argument("--seconds", type=float, default=0.7)
    given = arguments.parse_args()
    requests = unseen_requests(given.seed, budget_ms=1_000)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        with ServerProcess("echo-server") as plain, ServerProcess("echo") as framed:
            found["echo: Server -> Application"] = compare(
                plain, framed, requests, given.blocks, given.seconds, given.seed
            )
        with (
            takt(Path(folder, "server.sqlite")) as plain,
            takt(Path(folder, "application.sqlite"), kind="takt-application") as framed,
        ):
            found["decision: Server -> Application"] = compare(
                plain, framed, requests, given.blocks, given.seconds, given.seed
            )
    show(f"{given.blocks} blocks of 4 × {given.seconds:g} s", [each.row(name) for name, each in found.items()])
    report.write_json("http_layer", given, msgspec.to_builtins(found))


if __name__ == "__main__":
    main()
