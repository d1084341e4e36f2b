"""Times and numbers as people write them."""

from __future__ import annotations

import math
import time

import pytest

from loadtest.errors import ScenarioError
from loadtest.quantity import duration_ns, number, show_ns


@pytest.mark.parametrize(
    ("text", "ns"), [("50ms", 50_000_000), ("1.5s", 1_500_000_000), (".5 us", 500), ("2m", 120_000_000_000)]
)
def test_a_time_is_read(text: str, ns: int) -> None:
    assert duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "ms", "-5ms", "1e3s", "5 parsecs", "8d", "200h", "9" * 400 + "s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        duration_ns(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e5", "9" * 400])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="no number"):
        number(text)


def test_a_long_mistake_is_found_at_once() -> None:
    began_s = time.process_time()
    with pytest.raises(ScenarioError):
        duration_ns("1" * 100_000 + "!")
    assert time.process_time() - began_s < 1


def test_of_nothing_nothing_is_shown() -> None:
    assert show_ns(math.nan) == "-"
    assert show_ns(math.inf) == "never"
