"""docs/configuration.md is what the settings say."""

from __future__ import annotations

from pathlib import Path

from tests.reference import page

ROOT = Path(__file__).parents[3]


def test_the_page_is_made_from_the_settings() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page(), "renew it: python -m tests.reference > docs/configuration.md"
