"""What documents and code refer to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("budgets", "docs", "examples", "fallbacks", "loadtest", "models", "router", "tests")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_DOCUMENT = re.compile(r"\bdocs/[\w./-]*\w")
_DECISION = re.compile(r"\badr/(\d{4}[\w-]*)")


def files(*endings: str) -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in endings]
    return sorted([*found, *(path for path in ROOT.iterdir() if path.suffix in endings or path.name == "Makefile")])


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        to = path.parent / name if name else path
        if not to.exists() or (anchor and anchor not in anchors(to)):
            broken.append(link)
    return broken


def broken_mentions(text: str) -> list[str]:
    """Files of docs/ that are named but not there; a decision may be named by its number."""
    broken = [name for name in _DECISION.findall(text) if not any((ROOT / "docs/adr").glob(f"{name}*.md"))]
    named = {name for name in _DOCUMENT.findall(text) if not name.startswith("docs/adr/")}
    return [*broken, *(name for name in named if not (ROOT / name).exists())]


@pytest.mark.parametrize("path", files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_documents_that_are_mentioned_are_there() -> None:
    mentions = {
        str(path.relative_to(ROOT)): broken_mentions(path.read_text(encoding="utf-8"))
        for path in files(".md", ".py", ".toml", ".cfg")
        if path.is_file() and path != Path(__file__)
    }
    assert {name: broken for name, broken in mentions.items() if broken} == {}


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n[a](#one-thing) [b](#two) [c](gone.md) [d](https://cel.dev) [e](page.md#one-thing)\n")
    assert broken_links(page) == ["#two", "gone.md"]
    assert sorted(broken_mentions("docs/adr/0001 docs/adr/9999-x.md adr/9998 docs/none.md docs/http-api.md")) == [
        "9998",
        "9999-x",
        "docs/none.md",
    ]


def test_the_spine_stays_readable() -> None:
    """One decision, top to bottom, as prose: at most 250 lines."""
    assert len((ROOT / "router" / "pipeline.py").read_text(encoding="utf-8").splitlines()) <= 250
