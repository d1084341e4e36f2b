"""Columns: what routes.toml may declare, and where the values come from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from models.columns import Column, Value
from models.data import Example
from models.errors import DataError
from router.domain.interaction import Interaction
from router.policy.column import MAX_COLUMNS, values_of
from router.policy.errors import PolicyError
from router.policy.project import Project, read_project, read_utterances

ROUTES = """
default = "help"
unsure = "help"
utterances = ["more.csv"]
[[columns]]
name = "channel"
[[columns]]
name = "context.cart_value"
kind = "number"
[routes.help]
target = { kind = "bot", name = "faq" }
utterances = ["help me"]
"""


def _read(folder: Path, routes: str = ROUTES) -> Project:
    (folder / "routes.toml").write_text(routes, encoding="utf-8")
    (folder / "rules.toml").touch()
    return read_project(folder / "routes.toml", folder / "rules.toml")


def test_columns_are_declared_in_their_order(tmp_path: Path) -> None:
    columns = _read(tmp_path).routes.columns
    assert columns == (Column(name="channel"), Column(name="context.cart_value", kind="number"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"channel"',
            '"chanel"',
            "number 1: name = 'chanel': there is no such value; allowed: channel, crit",
        ),
        ('"channel"', '"context."', "[[columns]] number 1: name = 'context.': there is no such value"),
        ('"channel"', '"customer_id"', "number 1: name = 'customer_id': there is no such value; allowed: channel"),
        ('"channel"', '"context.cart_value"', "number 2: name = 'context.cart_value': declared twice"),
        ('"number"', '"flag"', "columns[1].kind: invalid enum value 'flag'; allowed: category, number"),
        ('name = "channel"', 'nam = "channel"', "columns[0]: "),
        ('name = "channel"', "", "missing required field `name`"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(PolicyError) as caught:
        _read(tmp_path, ROUTES.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'routes.toml'}: ")
    assert says in str(caught.value)


def test_there_is_an_end_to_columns(tmp_path: Path) -> None:
    many = "".join(f'[[columns]]\nname = "context.c{number}"\n' for number in range(MAX_COLUMNS - 1))
    with pytest.raises(PolicyError, match=r"\[\[columns\]\]: 17 of them; at most 16 are allowed"):
        _read(tmp_path, ROUTES.replace("[routes.help]", f"{many}[routes.help]"))


def test_utterance_files_have_the_declared_columns_and_routes_have_none(tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text(
        "text,context.cart_value,route,channel\nhelp,5,help,mail\nhelp,,oos,\n", encoding="utf-8"
    )
    assert read_utterances(_read(tmp_path)) == [
        Example("help me", "help"),
        Example("help", "help", ("mail", 5.0)),
        Example("help", "oos", (None, None)),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "text,route,channel\nhelp,help,mail\n",
            "line 1: no column 'context.cart_value'; there are: text, route, channel",
        ),
        (
            "text,route,channel,context.cart_value\na,help,,\nhelp,help,mail,4€\n",
            "line 3, column 'context.cart_value': '4€'",
        ),
    ],
)
def test_a_file_without_them_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "more.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_utterances(_read(tmp_path))
    assert str(tmp_path / "more.csv") in str(caught.value)
    assert says in str(caught.value)


AT = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("name", "category", "number"),
    [
        ("channel", "phone", None),
        ("criticality", "sheddable-plus", None),
        ("hour", "23", 23.0),
        ("weekday", "7", 7.0),
        ("context.vip", "True", 1.0),
        ("context.shop", "17", 17.0),
        ("context.a.b", "dots are part of the key", None),
        ("context.list", None, None),
        ("context.none", None, None),
        ("context.missing", None, None),
    ],
)
def test_where_values_come_from(name: str, category: Value, number: Value) -> None:
    context = {"vip": True, "shop": 17, "a.b": "dots are part of the key", "a": {"b": 1}, "list": [1], "none": None}
    sent = {"text": "x", "channel": "phone", "criticality": "sheddable-plus", "context": context}
    interaction = msgspec.convert(sent, Interaction)
    columns = (Column(name=name), Column(name=name, kind="number"))
    assert values_of(columns, interaction, int(AT.timestamp()) * 10**9) == (category, number)


def test_days_begin_at_midnight_utc_and_weeks_on_monday() -> None:
    columns = (Column(name="weekday", kind="number"), Column(name="hour", kind="number"))
    interaction = Interaction(text="x")
    second_ns = 10**9
    for at_s in (0, int(AT.timestamp()), int(AT.timestamp()) + 1, 1_700_000_000):
        at = datetime.fromtimestamp(at_s, UTC)
        assert values_of(columns, interaction, at_s * second_ns) == (at.isoweekday(), at.hour)
