"""The page: complete, closed to the network and to hostile texts, bounded, and with the right advice on top."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from models.calibrate import softmax
from models.findings import Checked, Findings, RungCheck, RungQuality, Top, find
from models.report import render
from models.report.advice import advise
from models.report.table import Number, draw_table, shown

_VOID = {"meta", "link", "br", "wbr", "img", "input", "line", "polyline"}
_HOSTILE = "<script>alert(1)</script>\"'&\u202eright to left\ud800 \x00\n<img src=http://evil.example/x>"


class _Page(HTMLParser):
    """Tags in their order; refuses what is not balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def _findings(labels: int = 14, rows: int = 600, text: str = "text", strength: float = 2.5) -> Findings:
    """Two rungs on random answers, the second the better one; some rows out of scope, some under a wrong route."""
    rng = np.random.default_rng(1)
    names = tuple(sorted([*(f"route_{i:03}_{'x' * 20}" for i in range(labels - 1)), "oos"]))
    truth = rng.integers(0, labels, rows)
    rungs = []
    answers = np.where(np.arange(rows) % 20, truth, rng.permutation(truth))
    for name, lead in (("small", strength), ("large", strength + 1)):
        logits = rng.normal(0, 1, (rows, labels))
        logits[np.arange(rows), answers] += lead
        rungs.append(RungCheck(name, softmax(logits.astype(np.float32)), 0.6))
    texts = [f"{text} {i}" for i in range(rows)]
    examples = [(text, names[label]) for text, label in zip(texts, truth.tolist(), strict=True)]
    alike = [("the same", names[1]), ("The same!", names[2]), ("Said twice.", names[3]), ("said twice", names[3])]
    return find(Checked(names, texts, truth, rungs), [*examples, *alike])


@pytest.fixture(scope="module")
def findings() -> Findings:
    return _findings()


def test_the_page_asks_for_nothing_and_runs_nothing_of_others(findings: Findings) -> None:
    html = render(findings, "version 1")
    page = _Page(html)
    names = {name for _, attrs in page.tags for name in attrs}
    assert not names & {"src", "srcset", "style", "action", "data", "xlink:href", "onclick", "onload"}
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "base", "form"}
    assert "url(" not in html
    assert "@import" not in html
    policy = next(attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_section_is_there_and_every_link_leads_to_one(findings: Findings) -> None:
    page = _Page(render(findings))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert ids == ["next", "rungs", "confusions", "suspects", "clashes", "repeats", "routes"]
    links = [attrs["href"] for attrs in page.all("a")]
    assert links
    assert {link[1:] for link in links if link} <= set(ids)


def test_plots_and_tables_can_be_read_without_seeing_them(findings: Findings) -> None:
    page = _Page(render(findings))
    pictures = [attrs for attrs in page.all("svg") if attrs.get("role") == "img"]
    assert [str(attrs["aria-label"]).split(".")[0] for attrs in pictures] == [
        "Accuracy against the share of texts kept",
        "Reliability of the confidence",
    ]
    assert "large keeps" in str(pictures[0]["aria-label"])
    assert len(page.all("caption")) == len(page.all("table"))
    assert {attrs["scope"] for attrs in page.all("th")} == {"col", "row"}
    assert page.all("html") == [{"lang": "en"}]


def test_curves_stay_inside_their_frame(findings: Findings) -> None:
    curves = [attrs["points"] for attrs in _Page(render(findings)).all("polyline")]
    points = [tuple(map(float, pair.split(","))) for curve in curves if curve for pair in curve.split()]
    assert len(points) > 50
    assert all(56 <= x <= 504 and 14 <= y <= 294 for x, y in points)


def test_the_accuracy_wanted_is_a_line_inside_the_plot(findings: Findings) -> None:
    html = render(msgspec.structs.replace(findings, kept_accuracy=0.6))
    assert ">60% wanted<" in html
    heights = [float(str(line["y1"])) for line in _Page(html).all("line") if line.get("class") == "wanted"]
    assert len(heights) == 1
    assert 14 <= heights[0] <= 294


def test_texts_of_strangers_are_text() -> None:
    hostile = _findings(text=_HOSTILE)
    html = render(hostile, _HOSTILE)
    html.encode("utf-8")
    page = _Page(html)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert any("<script>alert(1)</script>" in text for text in page.texts)


def test_a_hostile_route_and_rung_are_text_too() -> None:
    checked = Checked(
        (_HOSTILE, "b"),
        ["x", "y"],
        np.array([0, 1]),
        [RungCheck("<b>rung", np.array([(0.4, 0.6), (0.2, 0.8)], np.float32), 0.5)],
    )
    html = render(find(checked, [("x", _HOSTILE), ("y", "b")]))
    html.encode("utf-8")
    page = _Page(html)
    assert len(page.all("script")) == 1
    assert not page.all("img")


def test_what_is_shown_of_a_text() -> None:
    assert shown("a\n b\t c") == "<bdi>a b c</bdi>"
    assert shown("x" * 1_000) == f"<bdi>{'x' * 239}…</bdi>"
    assert shown("card_arrival") == "<bdi>card_<wbr>arrival</bdi>"


def test_the_page_stays_small() -> None:
    html = render(_findings(labels=1_000, rows=6_000, text="long " * 5_000))
    assert len(html.encode()) < 1_000_000


def test_the_same_findings_give_the_same_page(findings: Findings) -> None:
    assert render(findings, "x") == render(_findings(), "x")


def test_lists_say_how_much_they_show(findings: Findings) -> None:
    html = render(findings)
    assert f"The first 20 of {findings.confusions.total} pairs" in html
    assert f"{findings.routes.total} routes, least found first" in html


def test_numbers_sort_by_value_and_are_read_as_words() -> None:
    table = draw_table("caption", ("name", "count"), [("one", Number(1_000, "1,000")), ("two", Number(-1, "–"))])
    page = _Page(table)
    assert [attrs.get("data-value") for attrs in page.all("td")] == ["1000", "-1"]
    assert [attrs.get("class") for attrs in page.all("th")] == [None, "n", None, None]
    assert len(page.all("button")) == 2


def test_advice_comes_in_the_order_of_mistakes(findings: Findings) -> None:
    advice = advise(findings)
    mistakes = [each.mistakes for each in advice]
    assert mistakes == sorted(mistakes, reverse=True)
    works = [each.work for each in advice]
    assert f"Check the route of {findings.suspects.total} utterances that may stand under a wrong one." in works
    assert "Decide 1 pair of near-identical utterances that stand under two routes." in works
    assert sum(work.startswith("Tell “") for work in works) == 3
    best = findings.rungs[-1]
    assert any(f"{best.oos_kept} of {best.oos_total} held-out texts" in each.why for each in advice)


def test_mistakes_that_look_mislabelled_are_not_counted_for_pairs(findings: Findings) -> None:
    pair = findings.overlaps.shown[0]
    all_suspect = msgspec.structs.replace(pair, suspects=pair.rows)
    told = msgspec.structs.replace(findings, overlaps=Top((all_suspect,), 1))
    assert not [each for each in advise(told) if each.work.startswith("Tell “")]
    some_suspect = msgspec.structs.replace(pair, rows=7, suspects=2)
    told = msgspec.structs.replace(findings, overlaps=Top((some_suspect,), 1))
    assert [each.mistakes for each in advise(told) if each.work.startswith("Tell “")] == [5]


def test_the_page_tells_how_much_each_piece_of_work_touches(findings: Findings) -> None:
    first = advise(findings)[0]
    points = 100 * first.mistakes / findings.held_out
    text = "".join(_Page(render(findings)).texts)
    assert f"touches {first.mistakes} mistakes of {findings.mistakes}, up to {points:.1f} points." in text


def test_a_threshold_that_keeps_few_and_is_often_wrong_stays_inside_the_plot() -> None:
    answers = np.where(np.arange(40) < 10, np.float32(0.95), np.float32(0.6))
    checked = Checked(
        ("a", "b"),
        [f"text {i}" for i in range(40)],
        np.array([0] * 3 + [1] * 7 + [0] * 30),
        [RungCheck("small", np.stack([answers, 1 - answers], axis=1), 0.9)],
    )
    dots = _Page(render(find(checked, [("x", "a"), ("y", "b")]))).all("circle")
    assert all(14 <= float(str(dot["cy"])) <= 294 for dot in dots if dot.get("r") == "6")


def test_thin_routes_are_named_with_their_number() -> None:
    shares = np.array([(0.9, 0.1), (0.6, 0.4)], np.float32)
    checked = Checked(("a", "b"), ["x", "y"], np.array([0, 1]), [RungCheck("small", shares, 0.5)])
    rows = [*((f"{word}", "a") for word in "one two three four five six seven eight nine ten".split()), ("y", "b")]
    advice = advise(find(checked, rows))
    assert "Write more utterances for “b” (1)." in [each.work for each in advice]
    assert "Collect some messages that belong to no route, under “oos”." in [each.work for each in advice]


def test_a_model_without_fault_leaves_nothing_to_fix() -> None:
    shares = np.tile(np.array([(0.99, 0.01, 0), (0.01, 0.99, 0), (0, 0, 1)], np.float32), (15, 1))
    truth = np.tile(np.array([0, 1, 2]), 15)
    words = "sun moon star sea wind rain snow fire dust leaf rock bird fish tree road".split()
    texts = [f"{word}{end}" for word in words for end in ("ly", "zig", "qua")]
    labels = ("a", "b", "oos")
    rows = [(text, labels[label]) for text, label in zip(texts, truth.tolist(), strict=True)]
    found = find(Checked(labels, texts, truth, [RungCheck("small", shares, 0.5)]), rows)
    assert (found.mistakes, found.suspects.total, found.clashes.total) == (0, 0, 0)
    html = render(found)
    assert "Nothing stands out." in html
    assert 'id="confusions"' not in html


def test_a_rung_that_keeps_nothing_is_told(findings: Findings) -> None:
    best: RungQuality = msgspec.structs.replace(findings.rungs[-1], at_threshold=None, choices=(None,) * 5)
    html = render(msgspec.structs.replace(findings, rungs=(best,)))
    assert "large keeps nothing at its threshold" in html
    assert "not reached" in html
