"""The training report: `models.findings` as one self-contained HTML page (docs/training-report.md says how to read it).

advice  what to fix next, in sentences and in order
plot    SVG
table   tables, the heat map, and how a stranger's text gets onto the page
style   CSS and the script that sorts tables
page    all of it in order
"""

from __future__ import annotations

from models.report.page import render

__all__ = ["render"]
