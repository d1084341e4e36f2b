"""The model card of a version: what it is for, what it was made of, what it is worth, where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.spec import OUT_OF_SCOPE

if TYPE_CHECKING:
    from models.spec import Manifest, RungManifest

CARD_FILE = "card.md"
_RUNGS = ("rung", "file", "MB", "accuracy", "fp32", "ECE", "oos AUROC", "threshold", "p50 us", "p99 us")


def write(manifest: Manifest) -> str:
    """The card in Markdown. Pure: all it says is in the manifest."""
    routes = [label for label in manifest.labels if label != OUT_OF_SCOPE]
    encoder = f"Pretrained encoder: {manifest.encoder}.\n" if manifest.encoder else ""
    outside = "were" if OUT_OF_SCOPE in manifest.labels else "were not"
    table = [_RUNGS, ("---",) * len(_RUNGS), *(_row(rung) for rung in manifest.rungs)]
    columns = ", ".join(f"`{column.name}`" for column in manifest.columns)
    beside = f"Joins in the scoring, beside the text: {columns}." if columns else "Nothing but the text is read."
    notes = "".join(f"\nNote: {note}.\n" for note in manifest.notes)
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"""\
# Models {manifest.plan_version}

Made {manifest.created_at} by `takt train`, seed {manifest.seed}.

## Use
Says which of {len(routes)} routes a short message is for, with a calibrated confidence, on one CPU core. For messages
like those it was trained on, and for these routes only: {", ".join(f"`{route}`" for route in routes)}.

## Data
{manifest.rows} utterances, sha256 `{manifest.data_sha256}`. Texts that belong to no route {outside} among them.
{encoder}{beside}

## Figures
Of utterances held out while training; costs are text to answer on the training machine. The best rung is last.

{lines}
{notes}
- **accuracy**, **ECE**: right answers, and how far confidences are from them; **fp32**: the same before rounding to
  int8; **oos AUROC**: how well confidence tells texts of a route from others, where there were any.
- **threshold**: below this confidence no route is taken and the `unsure` route answers. It was set so that a
  stated share of the held-out texts above it are right (95 % where nothing else was asked for), but never refuses more
  than half of them.

## Limits
- Held-out utterances come from the same source as the others: real messages are answered worse. Score some of your own
  with `takt evaluate`.
- A route with few or one-sided examples is answered worse than the mean says, and so is a language without examples.
- What belongs to no route may still be given one with confidence: {_outside_advice(manifest)}
- It learned whatever its utterances hold, mistakes and prejudices too. What must never go wrong belongs in a guard.
"""


def _row(rung: RungManifest) -> tuple[str, ...]:
    return (
        f"`{rung.name}`",
        f"`{rung.file}`",
        f"{rung.bytes / 1e6:.1f}",
        f"{rung.accuracy:.2%}",
        f"{rung.accuracy_fp32:.2%}",
        f"{rung.ece:.3f}",
        "-" if rung.auroc_oos is None else f"{rung.auroc_oos:.3f}",
        f"{rung.threshold:.2f}",
        f"{rung.p50_us:.0f}",
        f"{rung.p99_us:.0f}",
    )


def _outside_advice(manifest: Manifest) -> str:
    if OUT_OF_SCOPE in manifest.labels:
        return "see oos AUROC."
    return f"rows with the route `{OUT_OF_SCOPE}` would teach it better."
