"""The plot shows means of valid runs, and each bar is full: what nobody answered in budget is told as missed."""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree as ET

import pytest

from tests.bench.overload_plot import Numbers, Run, draw, groups

_SVG = "{http://www.w3.org/2000/svg}"


def _run(kind: str, large: float, small: float = 0.0, *, load: float = 2.0, valid: bool = True) -> Run:
    rungs = {"large": large, "small": small} if small else {"large": large}
    return Run(load=load, kind=kind, numbers=Numbers(valid=valid, attainment=large + small, rungs=rungs))


def test_bars_are_means_of_the_valid_runs() -> None:
    turns = [_run("takt", 0.5, 0.5), _run("takt", 0.3, 0.6), _run("takt-b0", 0.4), _run("takt-b0", 0.9, valid=False)]
    found = groups([_run("takt", 1.0, load=0.5)], turns)
    (head, (takt, b0)), (_, (alone,)) = found.items()
    assert head.startswith("2 C")
    assert "1 or 2" in head
    assert (takt.name, b0.name, alone.name) == ("Takt", "B0", "0.5 C")
    assert takt[2:] == pytest.approx((40.0, 55.0, 5.0))
    assert b0[2:] == pytest.approx((40.0, 0.0, 60.0))
    assert alone[2:] == pytest.approx((100.0, 0.0, 0.0))


def test_a_server_and_a_load_without_valid_runs_are_left_out() -> None:
    turns = [_run("takt", 1.0), _run("takt-b1", 0.5, valid=False), _run("takt", 1.0, load=4.0, valid=False)]
    found = groups([], turns)
    assert [[bar.name for bar in bars] for bars in found.values()] == [["Takt"], []]


def test_each_bar_is_full_and_narrow_parts_are_told_too() -> None:
    drawn = draw("One < two", groups([], [_run("takt", 0.25, 0.7496), _run("takt-b3", 0.029)]))
    root = ET.fromstring(drawn)
    rows: dict[str, float] = defaultdict(float)
    for part in root.iter(f"{_SVG}rect"):
        if part.attrib["height"] == "20":
            rows[part.attrib["y"]] += float(part.attrib["width"])
    texts = {text.text for text in root.iter(f"{_SVG}text")}
    assert len(rows) == 2
    assert len({round(width) for width in rows.values()}) == 1
    assert {"One < two", "25.0 %", "75.0 %", "0.04 %", "2.9 %", "97.1 %"} <= texts
    assert "2 C, B3: large 2.9 %, small 0.0 %, missed 97.10 %." in (root.findtext(f"{_SVG}desc") or "")
