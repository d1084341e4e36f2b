"""The report as one HTML file that needs no other and asks for none: the verdict first, then what it rests on."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from loadtest.report.draw import detail, evidence
from loadtest.report.draw.section import BANNER, Section, banner_words, cards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.report.summary import Summary


def render(summary: Summary) -> str:
    """The same summary gives the same bytes."""
    static = files("loadtest.report") / "static"
    style = (static / "report.css").read_text("utf-8")
    script = (static / "report.js").read_text("utf-8")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    origin = summary.origin
    sections = list(_sections(summary))
    contents = "".join(f'<a href="#{each.slug}">{escape(each.title)}</a> ' for each in sections)
    body = "".join(
        f'<section aria-labelledby="{each.slug}"><h2 id="{each.slug}">{escape(each.title)}</h2>'
        f'<p class="soft">{escape(each.words)}</p>{each.body}</section>'
        for each in sections
    )
    html = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(origin.name)}: {summary.verdict} (load test)</title><style>{style}</style></head>"
        f"<body><main><header><h1>Load test: {escape(origin.name)}</h1>"
        f'<p>{escape(origin.description)}</p><p class="soft">Run {escape(origin.id)}, {escape(origin.started_at)}, seed'
        f" {origin.seed}, engine {escape(origin.engine)}</p></header>{_banner(summary)}{cards(summary)}"
        f'<nav aria-label="Contents">{contents}</nav>{body}</main><script>{script}</script></body></html>\n'
    )
    return html.encode("utf-8", "replace").decode()  # lone surrogates could not be written to a file


def _hash(content: str) -> str:
    """`content` as a security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _banner(summary: Summary) -> str:
    kind = BANNER[summary.verdict]
    words = "".join(f"<p>{escape(line)}</p>" for line in banner_words(summary))
    return f'<div class="banner {kind}" role="status"><strong>{summary.verdict.upper()}</strong>{words}</div>'


def _sections(summary: Summary) -> Iterator[Section]:
    for draw in (
        evidence.gates,
        evidence.validity,
        evidence.latency,
        evidence.attainment,
        evidence.ladder,
        evidence.quality,
        detail.agents,
        detail.waterfall,
        detail.little,
        detail.failures,
        detail.comparison,
        detail.origin,
    ):
        section = draw(summary)
        if section is not None:
            yield section
