"""Style and script of the page. Both are constants, so that the page can name their hashes in its security policy."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --back: #fbfaf8; --card: #fff; --ink: #1d2330; --soft: #5c6575; --rule: #dfe2e8;
  --link: #0b57a4; --heat: 196 62 28; --c0: #0b6bcb; --c1: #c2410c; --c2: #0f7b5f; --c3: #7c3aa8; }
@media (prefers-color-scheme: dark) { :root { --back: #14171d; --card: #1c2129; --ink: #e8eaee; --soft: #a2abba;
  --rule: #343b47; --link: #7db8f5; --heat: 240 128 84; --c0: #6db3f7; --c1: #f59a5c; --c2: #4fd1a9; --c3: #c79bf2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.5rem 0 .4rem; font-size: 1.25rem; }
p { margin: .3rem 0 .8rem; max-width: 60rem; } .soft, caption, figcaption { color: var(--soft); }
a { color: var(--link); } bdi, td { overflow-wrap: anywhere; }
.cards, .plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.card, figure, .next { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem;
  padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; } figure { margin: 0; } figure > svg { width: 100%; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.next ol { margin: .3rem 0; padding-left: 1.5rem; } .next li { margin: .6rem 0; } .next b { display: block; }
.gain { color: var(--c1); font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; }
tbody th { font-weight: 500; min-width: 8rem; }
caption { text-align: left; padding: .8rem 0 .2rem; }
th, td { padding: .35rem .6rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--rule); }
td.n { white-space: nowrap; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid var(--link); }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; }
.quote { display: block; } .quote + .quote { margin-top: .25rem; color: var(--soft); }
.heat th, .heat td { border: 1px solid var(--rule); } .heat td { text-align: center; }
.heat thead th { vertical-align: bottom; min-width: 2.6rem; }
.heat thead span { writing-mode: vertical-rl; max-height: 14rem; }
.h1 { background: rgb(var(--heat) / .15); } .h2 { background: rgb(var(--heat) / .3); }
.h3 { background: rgb(var(--heat) / .5); } .h4 { background: rgb(var(--heat) / .75); } .right { color: var(--soft); }
.grid { stroke: var(--rule); } .tick { font-size: 11px; fill: var(--soft); }
.axis { font-size: 12px; fill: var(--ink); }
.wanted { stroke: var(--soft); stroke-dasharray: 5 4; fill: none; } .line { fill: none; stroke-width: 2.2; }
.dot { stroke: var(--card); stroke-width: 1.5; } .line.c0 { stroke: var(--c0); } .dot.c0 { fill: var(--c0); }
.line.c1 { stroke: var(--c1); } .dot.c1 { fill: var(--c1); } .line.c2 { stroke: var(--c2); stroke-dasharray: 9 3; }
.dot.c2 { fill: var(--c2); } .line.c3 { stroke: var(--c3); stroke-dasharray: 2 3; } .dot.c3 { fill: var(--c3); }
.legend { display: flex; gap: 1rem; list-style: none; margin: .3rem 0 0; padding: 0; font-size: .9rem; }
.key { width: .8rem; height: .8rem; margin-right: .35rem; }
@media print { body { background: none; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; } }
"""

SCRIPT = """
for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => {
  const head = button.closest('th'), body = head.closest('table').tBodies[0];
  const down = head.getAttribute('aria-sort') !== 'descending', i = head.cellIndex;
  for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const order = (a, b) => a.dataset.value === undefined
    ? a.textContent.localeCompare(b.textContent) : a.dataset.value - b.dataset.value;
  const rows = [...body.rows].sort((a, b) => order(a.cells[i], b.cells[i]));
  body.append(...(down ? rows.reverse() : rows));
});
"""
