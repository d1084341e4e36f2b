"""Numbers as people read them. A dash where nothing tells."""

from __future__ import annotations

from loadtest.quantity import S, show_ns

NONE = "–"
_MOST_PLACES = 4


def time(ns: float | None) -> str:
    """None: such a request never ended."""
    return "never" if ns is None else show_ns(ns)


def time_or_dash(ns: float | None) -> str:
    return NONE if ns is None else show_ns(ns)


def percent(share: float | None, digits: int = 2) -> str:
    """As many digits as it takes that what is not all does not read as 100 %, nor what is something as 0 %."""
    if share is None:
        return NONE
    text = ""
    for places in range(digits, _MOST_PLACES + 1):
        text = f"{100 * share:.{places}f}"
        if (float(text) not in {0, 100}) or share in {0, 1}:
            break
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def interval(low: float, high: float) -> str:
    """Of a share; its limits need not be exact."""
    return f"{100 * low:.1f} … {100 * high:.1f} %"


def count(number: int) -> str:
    return f"{number:,}"


def rate(per_s: float | None) -> str:
    if per_s is None:
        return NONE
    return f"{per_s:,.0f}/s" if per_s >= 100 else f"{per_s:.3g}/s"  # noqa: PLR2004 - three digits


def clock(ns: int) -> str:
    """A time of the run: `0:42`, `0:42.5`, `1:03:07`."""
    tenths = round(ns / (S // 10))
    minutes, rest = divmod(tenths, 600)
    seconds = f"{rest // 10:02d}" + (f".{rest % 10}" if rest % 10 else "")
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds}" if minutes >= 60 else f"{minutes}:{seconds}"  # noqa: PLR2004


def counted(number: int, noun: str) -> str:
    """`number` and its noun, in the plural where it is due."""
    return f"{number:,} {noun}" + "s" * (number != 1)
