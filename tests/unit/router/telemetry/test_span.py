from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from router.telemetry.span import MOST_PER_S, SpanKeeper, open_export

SECOND = 1_000_000_000


@pytest.mark.parametrize("why", ["late", "degraded", "failed"])
def test_what_went_wrong_is_kept(why: str) -> None:
    keeper = SpanKeeper(0.0, Random(1))
    flags = {"late": False, "degraded": False, "failed": False}
    assert not keeper.keep(0, **flags)
    assert keeper.keep(0, **{**flags, why: True})


def test_a_share_of_the_rest_is_kept() -> None:
    keeper = SpanKeeper(0.01, Random(1))
    kept = sum(
        keeper.keep(now, late=False, degraded=False, failed=False) for now in range(0, 1_000 * SECOND, SECOND // 10)
    )
    assert 70 <= kept <= 130
    assert keeper.limited_total == 0


def test_the_same_seed_keeps_the_same() -> None:
    def kept() -> list[bool]:
        keeper = SpanKeeper(0.5, Random(7))
        return [keeper.keep(0, late=False, degraded=False, failed=False) for _ in range(50)]

    assert kept() == kept()


def test_an_overload_does_not_buy_a_trace_for_each_request() -> None:
    keeper = SpanKeeper(0.01, Random(1))
    per_s = 4_000
    kept = [keeper.keep(n * SECOND // per_s, late=True, degraded=True, failed=False) for n in range(10 * per_s)]
    assert sum(kept[:per_s]) <= 2 * MOST_PER_S
    assert sum(kept[per_s:]) == pytest.approx(9 * MOST_PER_S, abs=2)
    assert keeper.limited_total == len(kept) - sum(kept)


def test_room_comes_back() -> None:
    keeper = SpanKeeper(0.0, Random(1))
    while keeper.keep(0, late=True, degraded=False, failed=False):
        pass
    assert not keeper.keep(SECOND // MOST_PER_S // 2, late=True, degraded=False, failed=False)
    assert keeper.keep(SECOND, late=True, degraded=False, failed=False)


def test_without_an_endpoint_opentelemetry_is_not_imported() -> None:
    assert open_export("", "1.0", Random(1)) is None
    code = (
        "import sys, random\n"
        "from router.telemetry import lag, logs, prometheus, registry, settings, span, trace\n"
        "assert span.open_export('', '1.0', random.Random(1)) is None\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
