"""What can be checked of a page without ears: names, roles, the order of headings, ids, the tab order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chromium import Page

_NAMED = {
    "button", "link", "textbox", "searchbox", "combobox", "checkbox", "spinbutton", "progressbar", "meter", "dialog",
    "article", "region", "img", "image", "heading", "columnheader", "rowheader", "option", "form",
}  # fmt: skip
_CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const shine = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const found = rgb(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()
    && [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.map((each) => {
    const pair = [shine(rgb(getComputedStyle(each).color)), shine(ground(each))].sort((one, other) => other - one);
    return [(pair[0] + 0.05) / (pair[1] + 0.05), each.tagName + " " + each.textContent.slice(0, 40)];
  }).filter(([contrast]) => contrast < 4.5);
})()"""


def check_accessible(page: Page) -> None:
    """As it is now, in the colours that it has now."""
    nodes = page.tree()
    nameless = [node for node in nodes if node["role"] in _NAMED and not node["name"].strip()]
    assert nameless == []
    levels = [int(node["level"]) for node in nodes if node["role"] == "heading"]
    roles = Counter(node["role"] for node in nodes)
    top = 2 if roles["dialog"] else 1  # while a dialog is open, there is nothing else
    assert levels[0] == top
    assert levels.count(top) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    assert (roles["main"], roles["banner"]) == ((0, 0) if roles["dialog"] else (1, 1))
    ids = page.js("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert [name for name, often in Counter(ids).items() if often > 1] == []
    refers = page.js(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby], [aria-controls]')].flatMap((each) =>"
        " ['aria-labelledby', 'aria-describedby', 'aria-controls'].flatMap((name) =>"
        " (each.getAttribute(name) ?? '').split(' ').filter(Boolean)))"
    )
    assert set(refers) <= set(ids)
    assert page.js('document.querySelectorAll(\'[tabindex]:not([tabindex="0"]):not([tabindex="-1"])\').length') == 0
    assert page.js("document.documentElement.lang") == "en"
    assert page.js(_CONTRAST) == []
