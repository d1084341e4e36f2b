"""Who answers how much in budget under overload, as docs/img/overload.svg: `python -m tests.bench.overload_plot`.

Reads what `tests.bench.overload --json` kept of its parts load and rivals. Runs that were invalid are left out.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple

import msgspec

from tests.bench import report

_PLOT = report.RESULTS.parent / "docs" / "img" / "overload.svg"
_WIDTH, _MARGIN, _LEFT, _BAR = 860, 28, 302, 454
_FITS = 9.0  # percent: narrower parts have no room for their share
_FOOT = ("The whole server on one core; budgets of five times an idle answer of large. Every scheduled request counts.",
         "B0 to B3 are policies put into the same server, with its HTTP, models and log, but large only.")  # fmt: skip
_SERVERS = {"takt": ("Takt", "the best answer that fits"), "takt-b0": ("B0", "first come, first served + time-out"),
            "takt-b1": ("B1", "priorities + queue time-out"), "takt-b2": ("B2", "mean predictor + 503"),
            "takt-b3": ("B3", "Gradient2 limiter")}  # fmt: skip
_LEGEND = (("large", 28, "in budget, by large"), ("small", 198, "in budget, by small (or rules)"),
           ("lost", 430, "missed: late or refused"))  # fmt: skip
_STYLE = """<style>
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#24292f}.title{font-size:17px}.foot{font-size:12px}
.title,.name,.end{font-weight:600}.end{fill:#b3261e;text-anchor:end}.in{text-anchor:middle}.note,.foot{fill:#57606a}
.page{fill:#fff;stroke:#d0d7de}.large{fill:#1f5f99}.small{fill:#9ccbf2}.lost{fill:url(#h)}.in.large{fill:#fff}
.in.small{fill:#0b2e4f}.under{fill:#fbdcd9}.hatch{stroke:#d9534a}.out{paint-order:stroke;stroke:#fff;stroke-width:5}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.note,.foot{fill:#9da7b3}.page{fill:#0d1117;stroke:#30363d}
rect.large{fill:#2c70b3}.under{fill:#43201f}.hatch{stroke:#d2544c}.end{fill:#ff8f86}.out{stroke:#0d1117}}
</style><pattern id="h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<path class="under" d="M0 0H6V6H0Z"/><path class="hatch" stroke-width="1.6" d="M0 0V6"/></pattern>
<rect class="page" width="100%" height="100%" rx="8"/>"""


class Numbers(msgspec.Struct, frozen=True):
    attainment: float
    rungs: dict[str, float]
    valid: bool = True


class Run(msgspec.Struct, frozen=True):
    load: float
    numbers: Numbers
    kind: str = "takt"


class Bar(NamedTuple):
    name: str
    note: str
    large: float  # percent of the scheduled requests; the three sum to 100
    small: float
    lost: float


def groups(alone: list[Run], turns: list[Run]) -> dict[str, list[Bar]]:
    """All servers at each load of `turns`, then Takt `alone`, under their heads."""
    found, valid = {}, [each for each in turns if each.numbers.valid]
    for load in sorted({each.load for each in valid}):
        of = {kind: [each for each in valid if (each.kind, each.load) == (kind, load)] for kind in _SERVERS}
        counts = " or ".join(map(str, sorted({len(runs) for runs in of.values() if runs})))
        head = f"{load:g} C, {load:g} times what large alone can take (runs of each server: {counts})"
        found[head] = [_bar(*_SERVERS[kind], runs) for kind, runs in of.items() if runs]
    bars = [_bar(f"{each.load:g} C", "", [each]) for each in alone if each.numbers.valid]
    return found | {"Takt alone, as the load grows (another measurement, with a C of its own)": bars}


def _bar(name: str, note: str, runs: list[Run]) -> Bar:
    """The mean of runs, at least one. What was in budget but not by `large` counts as `small`."""
    large = sum(each.numbers.rungs.get("large", 0.0) for each in runs) / len(runs)
    met = sum(each.numbers.attainment for each in runs) / len(runs)
    return Bar(name, note, 100 * large, 100 * (met - large), 100 * (1 - met))


def draw(title: str, found: dict[str, list[Bar]]) -> str:
    """The SVG's text."""
    parts, told, y = [_text(_MARGIN, 38, "title", title), _text(_WIDTH - _MARGIN, 66, "end", "missed")], [], 100
    for name, x, label in _LEGEND:
        parts += [f'<rect class="{name}" x="{x}" y="55" width="14" height="14"/>', _text(x + 21, 66, "", label)]
    for head, bars in found.items():
        parts.append(_text(_MARGIN, y, "name", head))
        for at, (name, _, large, small, lost) in enumerate(bars):
            told.append(f"{head.split(',')[0]}, {name}: large {large:.1f} %, small {small:.1f} %, missed {lost:.2f} %.")
            parts += _row(bars[at], y + 27 + 25 * at)
        y += 42 + 25 * len(bars)
    parts += [_text(_MARGIN, y + 17 * at, "foot", line) for at, line in enumerate(_FOOT)]
    top = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 34}" role="img" aria-labelledby="t d">'
    names = f'<title id="t">{escape(title)}</title><desc id="d">{escape(" ".join(told))}</desc>'
    return "\n".join([top, names, _STYLE, *parts, "</svg>\n"])


def _row(of: Bar, y: int) -> list[str]:
    """Parts and shares, the text on `y`; a narrow `large` has its share behind it, on what was missed."""
    parts, x = [_text(_MARGIN, y, "name", of.name), _text(_MARGIN + 38, y, "note", of.note)], float(_LEFT)
    for name, share in (("large", of.large), ("small", of.small), ("lost", of.lost)):
        width = share / 100 * _BAR
        parts.append(f'<rect class="{name}" x="{x:.1f}" y="{y - 15}" width="{width:.1f}" height="20"/>')
        if name != "lost" and share >= _FITS:
            parts.append(_text(x + width / 2, y, f"in {name}", f"{share:.1f} %"))
        x += width
    if of.large < _FITS <= of.lost:
        parts.append(_text(_LEFT + of.large / 100 * _BAR + 7, y, "out", f"{of.large:.1f} %"))
    return [*parts, _text(_WIDTH - _MARGIN, y, "end", f"{of.lost:.{1 if of.lost >= 1 else 2}f} %")]


def _text(x: float, y: int, kind: str, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}">{escape(words)}</text>'


def main() -> None:
    kept = [msgspec.json.decode((report.RESULTS / f"overload_{name}.json").read_bytes()) for name in ("load", "rivals")]
    runs = (kept[0]["result"]["load"], kept[1]["result"]["rivals"]["turns"])
    found = groups(*(msgspec.convert(each, list[Run]) for each in runs))
    dates = " and ".join(sorted({each["at"][:10] for each in kept}))
    _PLOT.write_text(draw(f"Share of requests answered in budget under overload, {dates}", found), encoding="utf-8")


if __name__ == "__main__":
    main()
