"""Callers: whose key is whose, and what they may ask for."""

from __future__ import annotations

import pytest

from router.domain.interaction import Criticality
from router.http.callers import Caller, Callers, CallerSettings
from router.http.errors import Unauthorized

SHOP, BATCH = "shop-0123456789ab", "batch-0123456789a"
MOST, CRITICAL, PLUS, LEAST = Criticality


@pytest.fixture(scope="module")
def callers() -> Callers:
    settings = {
        "shop": CallerSettings(key=SHOP, most_critical=Criticality.CRITICAL),
        "batch": CallerSettings(key=BATCH, most_critical=Criticality.SHEDDABLE),
    }
    return Callers(settings, Criticality.SHEDDABLE_PLUS)


@pytest.mark.parametrize(
    ("authorization", "caller"),
    [
        (f"Bearer {SHOP}", Caller("shop", CRITICAL)),
        (f"bearer   {SHOP} ", Caller("shop", CRITICAL)),
        (f"BEARER {BATCH}", Caller("batch", LEAST)),
        (None, Caller(None, PLUS)),
    ],
)
def test_a_key_is_its_callers(callers: Callers, authorization: str | None, caller: Caller) -> None:
    assert callers.of(authorization) == caller


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", SHOP, f"Basic {SHOP}", f"Bearer {SHOP}x", f"Bearer {SHOP[:-1]}", f"Bearer {SHOP.upper()}",
     f"Bearer {SHOP} {BATCH}", f"Bearer\t{SHOP}", "Bearer \udcff", "Bearer " + "x" * 8_000],
)  # fmt: skip
def test_what_is_no_callers_is_refused_and_not_repeated(callers: Callers, authorization: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        callers.of(authorization)
    assert SHOP not in caught.value.detail
    assert "xxx" not in caught.value.detail


def test_without_callers_nobody_reads_what_is_somebody_elses() -> None:
    nobody = Callers({}, Criticality.CRITICAL_PLUS)
    assert nobody.of("Basic dXNlcg==") == nobody.of(None) == Caller(None, MOST)


@pytest.mark.parametrize("most", Criticality)
@pytest.mark.parametrize("stated", Criticality)
def test_nobody_gets_more_than_he_may_or_asks_for(most: Criticality, stated: Criticality) -> None:
    ranks = list(Criticality)
    granted = Caller("shop", most).cap(stated)
    assert ranks.index(granted) == max(ranks.index(most), ranks.index(stated))


def test_a_key_is_not_printed_with_its_settings() -> None:
    assert SHOP not in repr({"shop": CallerSettings(key=SHOP)})
