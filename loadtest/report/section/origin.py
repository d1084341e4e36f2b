"""Where the numbers come from: enough to do the same again."""

from __future__ import annotations

import hashlib

import msgspec

from loadtest.quantity import encode_quantity, to_json
from loadtest.report.section.part import Part
from loadtest.run import RunRecord


class Origin(Part, frozen=True, kw_only=True):
    """`scenario`: the file's content as JSON text; `scenario_sha256`: of it without layout, the seed included."""

    id: str
    name: str
    description: str
    status: str
    started_at: str
    engine: str
    command: str
    seed: int
    workers: int
    scenario: str
    scenario_sha256: str
    environment: dict[str, str]
    merged_from: tuple[str, ...]


def tell_origin(record: RunRecord) -> Origin:
    scenario = record.scenario
    digest = hashlib.sha256(msgspec.json.encode(scenario, enc_hook=encode_quantity, order="deterministic"))
    return Origin(
        id=record.id,
        name=scenario.name,
        description=scenario.description,
        status=record.status,
        started_at=record.started_at,
        engine=record.engine,
        command=record.command,
        seed=scenario.seed,
        workers=len(record.workers),
        scenario=to_json(scenario).decode(),
        scenario_sha256=digest.hexdigest(),
        environment=record.environment,
        merged_from=record.merged_from,
    )
