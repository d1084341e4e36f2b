"""The JSON Schema of scenario files: editors complete and check TOML and YAML with it."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtest.quantity import Ns, schema_of_quantity, write_ns
from loadtest.scenario import spec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> dict[str, Any]:
    """Of the keys and their types; what can't be written as a schema, check.py says."""
    schema = msgspec.json.schema(spec.Scenario, schema_hook=schema_of_quantity)
    tables = schema["$defs"]
    for name, table in tables.items():
        for field in msgspec.structs.fields(getattr(spec, name)):
            if field.default_factory is not msgspec.NODEFAULT and isinstance(value := field.default_factory(), Ns):
                table["properties"][field.encode_name]["default"] = write_ns(value)
    return {"$schema": _DIALECT, "title": "A scenario of takt loadtest", **schema}
