"""What a whole HTTP decision costs: CPU per request against an empty aiohttp JSON echo, texts never seen before.

    python -m tests.bench.decision_cost [--blocks 15] [--seconds 1] [--json]

Both servers share one core and take turns (A B B A); the load comes from another core over 16 keep-alive connections.
The decision is all of it: HTTP, decode, deadline, admission, guards and rules, cache look-up and fill, features, int8
model, policy, log record with its writer thread and disk flushes, metrics, encode.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from tests.bench import report
from tests.bench.interleaved import compare, show
from tests.bench.server_process import ServerProcess, takt
from tests.bench.traffic import unseen_requests

GOAL = 1.6


def main() -> None:
    """Print the ratio and whether it meets the goal."""
    arguments = report.parser(__doc__)
    arguments.add_argument("--blocks", type=int, default=15)
    arguments.add_argument("--seconds", type=float, default=1.0)
    given = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess("echo") as echo,
        takt(Path(folder, "log.sqlite")) as decision,
    ):
        found = compare(
            echo, decision, unseen_requests(given.seed, budget_ms=1_000), given.blocks, given.seconds, given.seed
        )
    show(f"{given.blocks} blocks of 4 × {given.seconds:g} s; rungs {found.rungs}", [found.row("echo -> decision")])
    report.verdict(f"a decision costs at most {GOAL} × the CPU of an echo", is_met=found.ratio <= GOAL)
    report.write_json("decision_cost", given, msgspec.to_builtins(found))


if __name__ == "__main__":
    main()
