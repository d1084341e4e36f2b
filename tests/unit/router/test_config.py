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


KEY = "0123456789abcdef"


def callers(folder: Path, text: str, **environment: str) -> Settings:
    path = folder / "takt.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environment).settings


def test_where_the_queues_are(tmp_path: Path) -> None:
    file = tmp_path / "takt.toml"
    file.touch()
    assert load_config(file, {}).queues_path is None
    (tmp_path / "queues.toml").touch()
    assert load_config(file, {}).queues_path == tmp_path / "queues.toml"
    assert load_config(file, {"TAKT__FILES__QUEUES": ""}).queues_path is None
    mine = load_config(file, {"TAKT__FILES__QUEUES": "mine.toml"})
    assert mine.queues_path == tmp_path / "mine.toml", "who names a file means one that is there"


def test_callers_have_names_and_keys_and_no_cap_unless_stated(tmp_path: Path) -> None:
    text = f'[callers.shop]\nkey = "{KEY}"\n[callers.batch]\nkey = "{KEY}x"\nmost_critical = "sheddable"\n'
    found = callers(tmp_path, text).callers
    assert {name: (each.key, each.most_critical.value) for name, each in found.items()} == {
        "shop": (KEY, "critical-plus"),
        "batch": (f"{KEY}x", "sheddable"),
    }


def test_a_callers_key_may_come_from_the_environment_and_look_like_a_number(tmp_path: Path) -> None:
    environment = {"TAKT__CALLERS__SHOP__KEY": "1234567890123456", "TAKT__CALLERS__SHOP__MOST_CRITICAL": "critical"}
    shop = callers(tmp_path, '[callers.shop]\nkey = "short"\n', **environment).callers["shop"]
    assert (shop.key, shop.most_critical.value) == ("1234567890123456", "critical")


def test_an_override_replaces_the_key_of_a_caller_whose_name_has_capitals(tmp_path: Path) -> None:
    """A second caller beside it would leave the old key valid."""
    text = f'[callers.Shop]\nkey = "{KEY}"\nmost_critical = "sheddable"\n'
    found = callers(tmp_path, text, TAKT__CALLERS__SHOP__KEY=f"{KEY}-new").callers
    assert {name: (each.key, each.most_critical.value) for name, each in found.items()} == {
        "Shop": (f"{KEY}-new", "sheddable")
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[callers.shop]\nkey = "{KEY[1:]}"\n', "callers.shop: key: "),
        (f'[callers.shop]\nkey = "{KEY} {KEY}"\n', "callers.shop: key: "),
        (f'[callers.shop]\nkey = "{KEY}\\n"\n', "callers.shop: key: "),
        (f'[callers.shop]\nkey = "{KEY}ü"\n', "callers.shop: key: "),
        ("[callers.shop]\n", "missing required field `key`"),
        (f'[callers.shop]\nkey = "{KEY}"\nkeys = 1\n', "unknown field `keys`; allowed: key, most_critical"),
        (f'[callers.shop]\nkey = "{KEY}"\nmost_critical = "top"\n', "allowed: critical-plus, critical, sheddable-plus"),
        (f'[callers."a b"]\nkey = "{KEY}"\n', "callers.a b: "),
        (f'[callers]\nshop = "{KEY}"\n', "callers.shop: "),
        (f'[[callers]]\nname = "shop"\nkey = "{KEY}"\n', "callers: "),
        (f'[callers.a]\nkey = "{KEY}"\n[callers.b]\nkey = "{KEY}"\n', "callers.b.key: is the same as callers.a.key"),
        (f'[server]\nadmin_token = "{KEY}"\n[callers.a]\nkey = "{KEY}"\n', "is the same as server.admin_token"),
        ('[server]\nmost_critical = "top"\n', "server.most_critical: "),
        (
            f'[callers.shop]\nkey = "{KEY[1:]}"\n',
            "key: must be 16 to 256 printable ASCII characters without a blank; make",
        ),
        (
            f'[agents]\nsecret = "{KEY}"\n',
            "agents: secret: must be 32 to 256 printable ASCII characters without a blank",
        ),
        (f'[agents]\nsecret = "{KEY} {KEY}"\n', "make one with `openssl rand -hex 32`"),
        (f'[agents]\nsecret = "{KEY}{KEY}\\n"\n', "agents: secret: must be"),
        (f'[agents]\nsecret = "{KEY}{KEY}ü"\n', "agents: secret: must be"),
        (f'[agents]\nsecret = "{KEY * 17}"\n', "agents: secret: must be"),
    ],
)
def test_what_is_wrong_with_keys_is_said_in_words_and_without_them(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        callers(tmp_path, text)
    assert said in str(caught.value)
    assert KEY[1:] not in str(caught.value)
    assert "[!-~]" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", KEY * 2, KEY * 16])
def test_a_secret_of_agents(tmp_path: Path, secret: str) -> None:
    assert callers(tmp_path, f'[agents]\nsecret = "{secret}"\n').agents.secret == secret


@pytest.mark.parametrize("name", ["TAKT__CALLERS__SHOP", "TAKT__SERVER__PORT__X", "TAKT__CALLERS____KEY", "TAKT__A__"])
def test_an_override_of_what_cannot_be_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyError, match=name):
        callers(tmp_path, "", **{name: "1"})
