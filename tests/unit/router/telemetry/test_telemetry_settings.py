from __future__ import annotations

import msgspec
import pytest
from msgspec import convert

from router.telemetry.settings import TelemetrySettings


def test_defaults_export_nothing() -> None:
    assert convert({}, TelemetrySettings) == TelemetrySettings(
        log_level="info", log_format="auto", otlp_endpoint="", keep_share=0.01
    )


@pytest.mark.parametrize(
    "table",
    [
        {"log_level": "loud"},
        {"log_format": "xml"},
        {"otlp_endpoint": "collector:4318"},
        {"keep_share": 1.01},
        {"keep_share": -0.01},
        {"keep": 1},
    ],
)
def test_bad_values_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"keep|log_|otlp_"):
        convert(table, TelemetrySettings)


def test_each_field_is_described() -> None:
    fields = msgspec.json.schema(TelemetrySettings)["$defs"]["TelemetrySettings"]["properties"]
    assert all(field["description"].endswith(".") for field in fields.values())
