"""How much a request minds being degraded: four classes, and inside a class 128 cohorts with consistent victims.

A level is `rank * COHORTS + cohort`: 0 is the most critical, 511 the least. Under pressure the highest levels give way
first, and because a cohort is of a caller or session and an hour, a session keeps its fate instead of flapping
(DAGOR, WeChat's overload control, SoCC 2018).
"""

from __future__ import annotations

from zlib import crc32

from budgets.batch_cost import P90, P99, P995

CLASSES, COHORTS = 4, 128
CRITICAL_PLUS, CRITICAL, SHEDDABLE_PLUS, SHEDDABLE = range(CLASSES)
# By rank: the quantile of a rung's cost that must fit the budget. The less critical may be tried on a thinner margin.
TAIL = (P995, P99, P90, P90)


def cohort(unit: str, hour: int) -> int:
    """0 to 127, the same for a unit within an hour, another in the next."""
    return crc32(f"{hour} {unit}".encode(errors="surrogatepass")) % COHORTS


def level(rank: int, cohort: int) -> int:
    """0 to 511, the most critical first."""
    return rank * COHORTS + cohort
