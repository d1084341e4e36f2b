"""Versions of models for tests: what was trained once, changed so that it has another name."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
from msgspec.structs import replace
from onnx import helper, numpy_helper

from models import canary, store
from models.spec import read_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def add_version(
    models_dir: Path,
    trained: Path,
    temperature: float,
    rows: Sequence[tuple[str, str]] = (),
    *,
    bias: Sequence[float] | None = None,
    labels: tuple[str, ...] | None = None,
) -> str:
    """Add a version to a store: `trained` at another temperature; returns its name.

    Args: rows: its canary texts; bias: added to the logits, one for each label; labels: in place of the trained ones.
    """
    with store.stage(models_dir) as staging:
        shutil.copytree(trained, staging, dirs_exist_ok=True)
        manifest = read_manifest(staging)
        if bias is not None:
            add_bias(staging / "small.onnx", bias)
        sha256 = hashlib.sha256((staging / "small.onnx").read_bytes()).hexdigest()
        small = replace(manifest.rungs[0], temperature=temperature, sha256=sha256)
        write_manifest(staging, replace(manifest, rungs=(small, *manifest.rungs[1:]), labels=labels or manifest.labels))
        if rows:
            (staging / canary.CANARY_FILE).write_bytes(msgspec.json.encode(rows))
        return store.commit(models_dir, staging).id


def add_bias(path: Path, bias: Sequence[float]) -> None:
    """Add to the first output of a graph: NaN breaks it, a large number makes it say one label only."""
    model = onnx.load(path)
    graph = model.graph
    name = graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["unbiased" if each == name else each for each in names]
    graph.initializer.append(numpy_helper.from_array(np.array(bias, np.float32), "added"))
    graph.node.append(helper.make_node("Add", ["unbiased", "added"], [name]))
    path.unlink()  # it may be a link
    onnx.save(model, path)
