"""The plot is one well-formed file, and names that end close together stay apart."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

from tests.bench.quality_plot import Line, Mark, Panel, draw


def test_marks_that_agree_get_names_one_below_the_other() -> None:
    lines = [Line(name, [Mark(0, 80, 79, 81), Mark(1, 90, 89, 91)]) for name in ("a & b", "c", "d")]
    drawn = draw([Panel("One < two", lines), Panel("Three", lines[:1])], ("5", "full"))
    root = ET.fromstring(drawn)
    names = [
        text
        for text in root.iter("{http://www.w3.org/2000/svg}text")
        if text.text in {"a & b 90.0", "c 90.0", "d 90.0"}
    ]
    heights = [float(text.attrib["y"]) for text in names[:3]]
    assert len(names) == 4
    assert all(below - above >= 12 for above, below in pairwise(heights))


def test_a_contender_without_results_is_left_out() -> None:
    drawn = draw([Panel("One", [Line("none", []), Line("some", [Mark(0, 80, 80, 80)])])], ("5",))
    assert "none " not in drawn
    assert re.search(r"some 80\.0", drawn)
