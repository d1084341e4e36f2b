"""`takt loadtest schema`: the JSON Schema of scenario files."""

from __future__ import annotations

import sys
from argparse import Namespace

import msgspec

from loadtest.errors import PASSED
from loadtest.scenario.schema import scenario_schema


def run(args: Namespace) -> int:  # noqa: ARG001 - every command takes them
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(scenario_schema()), indent=2).decode() + "\n")
    return PASSED
