"""What answers mean."""

from __future__ import annotations

import pytest

from router.webhooks.delivery import Outcome, order_of, retry_after_ns

S = 10**9
NOW_NS = 1_445_412_420 * S  # Wed, 21 Oct 2015 07:27:00 GMT


@pytest.mark.parametrize(
    ("header", "ns"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("120", 120 * S),
        (" 5 ", 5 * S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60 * S),
        ("Wed, 21 Oct 2015 07:26:00 GMT", 0),
        ("soon", 0),
        ("-3", 0),
        ("1.5", 0),
        ("²", 0),
        ("9" * 5_000, 999_999_999 * S),
        ("Wed, 99 Oct 2015 07:26:00 GMT", 0),
    ],
)
def test_retry_after(header: str | None, ns: int) -> None:
    assert retry_after_ns(header, NOW_NS) == ns


@pytest.mark.parametrize(
    ("status", "delivered"),
    [(0, False), (199, False), (200, True), (204, True), (299, True), (301, False), (500, False)],
)
def test_any_2xx_is_a_success_and_nothing_else(status: int, delivered: bool) -> None:
    assert Outcome(status).is_delivered is delivered


def test_order_is_that_of_numbers() -> None:
    assert order_of("9-10") < order_of("10-2") < order_of("10-11")
