"""Settings from takt.toml and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.config import Settings, load_config
from router.policy.errors import PolicyError


def load(folder: Path, **environment: str) -> Settings:
    path = folder / "takt.toml"
    path.write_text("[server]\nport = 1\n", encoding="utf-8")
    return load_config(path, environment).settings


@pytest.mark.parametrize("token", ["12345678", "1e5", "true", "[1]", '"quoted"', "2026-11-22", "plain", ""])
def test_a_string_is_taken_as_it_is(tmp_path: Path, token: str) -> None:
    assert load(tmp_path, TAKT__SERVER__ADMIN_TOKEN=token).server.admin_token == token


def test_anything_else_is_toml(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        TAKT__SERVER__PORT="9000",
        TAKT__SERVER__CORS_ORIGINS='["https://a.example"]',
        TAKT__LOG__TEXT="drop",
        TAKT__BUDGET__MAX_MS="1e3",
    )
    assert (settings.server.port, settings.server.cors_origins) == (9000, ("https://a.example",))
    assert (settings.log.text, settings.budget.max_ms) == ("drop", 1000.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TAKT__SERVER__PORT", "high", "TAKT__SERVER__PORT: server.port: "),
        ("TAKT__SERVER__PROT", "1", "prot"),
        ("TAKT__SRVER__PORT", "1", "srver"),
        ("TAKT__PORT", "1", "TAKT__PORT: an override is written TAKT__SECTION__KEY"),
        ("TAKT__LOG__PATH", "", "log.path"),
    ],
)
def test_what_is_wrong_is_said_with_the_variables_name(tmp_path: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, **{name: value})
    assert name in str(caught.value)
    assert message in str(caught.value)
