from __future__ import annotations

import msgspec
import pytest

from router.log import DecisionRecord, LogSettings
from tests.log_records import FULL, record


def test_a_record_survives_encoding() -> None:
    for original in (FULL, record(1)):
        encoded = msgspec.msgpack.encode(original)
        assert msgspec.msgpack.decode(encoded, type=DecisionRecord) == original


def test_defaults_take_no_room() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record(1)))
    assert "text" not in fields
    assert "skipped" not in fields


def test_a_field_of_a_later_version_is_ignored() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(FULL)) | {"invented_later": [1]}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=DecisionRecord) == FULL


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"qeue": 1}, "qeue"),
        ({"queue": 0}, r"\$\.queue"),
        ({"commit_interval_ms": 21}, "commit_interval_ms"),
        ({"durability": "always"}, "durability"),
        ({"retention_days": 0.0}, "retention_days"),
        ({"path": ""}, "path"),
    ],
)
def test_settings_refuse_what_they_do_not_know(given: dict[str, object], named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(given, LogSettings)
