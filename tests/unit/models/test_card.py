"""The model card says what the manifest knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from models import card
from models.spec import read_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_card_names_version_data_routes_and_figures(trained: Path) -> None:
    manifest = read_manifest(trained)
    text = card.write(manifest)
    rung = manifest.rungs[0]
    for fact in (
        f"# Models {manifest.plan_version}",
        manifest.created_at,
        f"{manifest.rows} utterances, sha256 `{manifest.data_sha256}`",
        "which of 3 routes",
        "`card_lost`, `top_up`, `transfer`.",
        f"| `small` | `small.onnx` | {rung.bytes / 1e6:.1f} | {rung.accuracy:.2%} |",
        f"| {rung.threshold:.2f} |",
    ):
        assert fact in text
    assert "`oos`" not in text


def test_without_rows_out_of_scope_it_says_what_they_would_do(trained: Path) -> None:
    manifest = read_manifest(trained)
    rung = replace(manifest.rungs[0], auroc_oos=None)
    text = card.write(replace(manifest, labels=("a", "b"), rungs=(rung,), notes=("no rung `large`: no encoder",)))
    assert "\nNote: no rung `large`: no encoder.\n" in text
    assert "Texts that belong to no route were not among them." in text
    assert "rows with the route `oos` would teach it better" in text
    assert "| - |" in text
