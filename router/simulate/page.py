"""The report as one HTML file that needs no other, runs no script and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from router.simulate.compare import DAY_METRICS, LINE_METRICS, Comparison, Estimate, Metric, PolicyResult, find
from router.simulate.measure import ALL, QUANTILES
from router.simulate.plot import Axis, Interval, Series, draw_intervals, draw_lines
from router.simulate.words import show, show_difference, show_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.simulate.measure import Slot

_STYLE = """
:root { color-scheme: light dark; --back: #f7f8fa; --card: #fff; --ink: #1a2029; --soft: #566070; --rule: #dde1e8;
  --good: #0f6b3d; --bad: #a8201a;
  --s0: #0b5fb8; --s1: #b4460f; --s2: #0c7258; --s3: #7535a0; --s4: #8a6a00; --s5: #47566b; }
@media (prefers-color-scheme: dark) { :root { --back: #12151b; --card: #1a1f28; --ink: #e7eaef; --soft: #a3adbd;
  --rule: #323a47; --good: #7ddba6; --bad: #ff9c93;
  --s0: #6db3f7; --s1: #f59a5c; --s2: #4fd1a9; --s3: #c79bf2; --s4: #e0bd4a; --s5: #a5b3c7; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 84rem; margin: 0 auto; padding: 1.25rem 1.25rem 4rem; }
h1 { margin: 0; font-size: 1.5rem; } h2 { margin: 2.2rem 0 .3rem; font-size: 1.2rem; }
p { margin: .3rem 0 .7rem; max-width: 62rem; } .soft, caption { color: var(--soft); }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(32rem, 100%), 1fr));
  align-items: start; margin: .6rem 0; }
figure { margin: 0;
  background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; padding: .6rem .8rem; }
figcaption { font-weight: 600; } figure > svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; margin: .5rem 0; }
caption { text-align: left; padding: .6rem 0 .25rem; }
th, td { padding: .28rem .7rem; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { border-bottom: 2px solid var(--rule); } tbody th { font-weight: 500; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); }
.grid { stroke: var(--rule); } .tick { font-size: 11px; fill: var(--soft); }
.axis { font-size: 12px; fill: var(--ink); }
.label { font-size: 12px; fill: var(--ink); } .line { fill: none; stroke-width: 2.4; stroke-linejoin: round; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .3rem 0 0; }
.key { width: .8rem; height: .8rem; margin-right: .4rem; }
"""
_COLOURS = "".join(f".line.s{i} {{ stroke: var(--s{i}); }} .fill.s{i} {{ fill: var(--s{i}); }}\n" for i in range(6))


def render(result: Comparison) -> str:
    """The same result gives the same bytes."""
    style = _STYLE + _COLOURS
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    many = f"{result.days} days, each drawn with a seed of its own from {result.seed} on"
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy"'
        f" content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Simulation: {escape(result.world)}</title><style>{style}</style></head><body><main>"
        f"<h1>Simulation: {escape(result.world)}</h1><p>{escape(result.description)}</p>"
        f'<p class="soft">{escape(many)}, the same under every policy. Bars and brackets are 95 % intervals of the'
        " mean.</p>" + "".join(_sections(result)) + "</main></body></html>\n"
    )
    return html.encode("utf-8", "replace").decode()


def _sections(result: Comparison) -> Iterable[str]:
    yield "<h2>Policies side by side</h2>"
    yield '<div class="plots">' + "".join(_estimates(result, each) for each in (*LINE_METRICS, *DAY_METRICS)) + "</div>"
    if len(result.policies) > 1:
        yield _differences(result)
    yield '<h2>Through the day</h2><div class="plots">' + "".join(_through(result)) + "</div>"
    yield '<h2>Who waits, who works</h2><div class="plots">' + _waits(result) + _fairness(result) + "</div>"
    yield "<h2>By queue</h2>" + "".join(_queues(result, each) for each in result.policies)


def _estimates(result: Comparison, metric: Metric) -> str:
    found = [(each.name, find(each.measures, ALL, metric.key)) for each in result.policies]
    rows = [Interval(name, e.mean, e.low, e.high, show_interval(e, metric)) for name, e in found if e is not None]
    if not rows:
        return ""
    return draw_intervals(f"m-{metric.key}", metric.name, rows, Axis("", lambda value: show(value, metric)))


def _differences(result: Comparison) -> str:
    base, *others = result.policies
    rows = [
        (
            other.name,
            "all queues" if each.queue == ALL else each.queue,
            metric.name,
            show_difference(each.value, metric),
            _verdict(each.value, metric),
        )
        for other in others
        for each in other.differences
        for metric in (*LINE_METRICS, *DAY_METRICS)
        if metric.key == each.metric
    ]
    head = ("policy", "queue", "measure", f"difference to {base.name}", "")
    return "<h2>Differences</h2>" + _table(
        "Day by day, on the same customers; what includes 0 may be chance", head, rows
    )


def _verdict(gap: Estimate, metric: Metric) -> str:
    if gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return "not told apart"
    if not metric.better:
        return "differs"
    return "better" if gap.mean * metric.better > 0 else "worse"


def _through(result: Comparison) -> Iterable[str]:
    clock = Axis("hours since the beginning", lambda at: f"{at:g}")
    reads: tuple[tuple[str, str, Axis, Callable[[Slot], float | None]], ...] = (
        ("customers", "Customers who come", Axis("a quarter of an hour", "{:g}".format), lambda s: float(s.customers)),
        ("level", "Service level", Axis("share in time", _percent), lambda s: s.service_level),
        ("asa", "Average speed of answer", Axis("seconds", "{:,.0f}".format), lambda s: s.asa_s),
        ("left", "Abandonment", Axis("share of who came", _percent), lambda s: s.abandoned_share),
    )
    for slug, title, axis, read in reads:
        policies = result.policies[:1] if slug == "customers" else result.policies
        series = [Series(each.name, _slot_means(each, read)) for each in policies]
        yield draw_lines(f"t-{slug}", title, series, clock, axis)


def _slot_means(policy: PolicyResult, read: Callable[[Slot], float | None]) -> list[tuple[float, float | None]]:
    points = []
    for slots in zip(*(each.slots for each in policy.outcomes), strict=True):
        known = [value for value in map(read, slots) if value is not None]
        points.append((slots[0].at_s / 3600, sum(known) / len(known) if known else None))
    return points


def _waits(result: Comparison) -> str:
    series = []
    for policy in result.policies:
        days = [each.waits_s for each in policy.outcomes if each.waits_s]
        means = [sum(values) / len(days) for values in zip(*days, strict=True)] if days else []
        series.append(Series(policy.name, [(100 * at / QUANTILES, value) for at, value in enumerate(means)]))
    share = Axis("share of customers, %", "{:g}".format)
    return draw_lines("waits", "Wait that a share of customers does not exceed", series, share, Axis("seconds", _short))


def _fairness(result: Comparison) -> str:
    series = []
    for policy in result.policies:
        days = [sorted(each.occupancies) for each in policy.outcomes]
        size = max(map(len, days), default=0)
        full = [each for each in days if len(each) == size and size]
        means = [sum(values) / len(full) for values in zip(*full, strict=True)] if full else []
        series.append(Series(policy.name, [(float(at), value) for at, value in enumerate(means, 1)]))
    who = Axis("agents, from the least busy to the busiest", "{:.0f}".format)
    return draw_lines("agents", "Occupancy of each agent", series, who, Axis("share of time on duty", _percent))


def _queues(result: Comparison, policy: PolicyResult) -> str:
    rows = []
    for each in policy.counts:
        name = "all queues" if each.queue == ALL else f"{each.queue} (within {result.targets_s[each.queue]:g} s)"
        counts = (each.customers, each.answered, each.abandoned, each.turned_away, each.unserved)
        found = [(find(policy.measures, each.queue, metric.key), metric) for metric in LINE_METRICS]
        told = ("–" if estimate is None else show_interval(estimate, metric) for estimate, metric in found)
        rows.append((name, *(f"{count:,.1f}" for count in counts), *told))
    counted = ("customers", "answered", "abandoned", "turned away", "unserved")
    head = ("queue", *counted, *(metric.name for metric in LINE_METRICS))
    return _table(f"{policy.name}, a day in the mean", head, rows)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(_cell(each) for each in rest)}</tr>' for first, *rest in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    kind = {"better": "good", "worse": "bad"}.get(text, "n" if text[:1] in "0123456789+−–" else "")
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _short(value: float) -> str:
    return f"{value:,.0f}"
