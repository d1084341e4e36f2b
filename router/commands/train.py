"""`takt train`: from utterances to a directory of models."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.data import read_csv
from models.spec import MANIFEST_FILE, OUT_OF_SCOPE
from router.commands.errors import CommandError
from router.commands.location import config_flag, find_config, shown
from router.commands.terminal import progress, say, table
from router.config import load_config
from router.policy.project import read_project, read_utterances

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from models.spec import Manifest
    from router.config import Config

_NEEDED = ("onnx", "scipy")


def run(args: Namespace) -> int:
    """Train into a directory of its own; only what has passed its checks replaces earlier models."""
    if args.accurate:
        raise CommandError("--accurate: not available yet, it comes with the large rung; train without it")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(f"training needs {' and '.join(missing)}, not installed: pip install 'takt[train]'")
    from models.train import train  # noqa: PLC0415 - can't be imported without the extra

    path = None if args.config is None and args.utterances is not None else find_config(args.config)
    config = None if path is None else load_config(path, os.environ)
    examples = _examples(args, config)
    out_dir = _out_dir(args.out, config)
    try:
        with _replacing(out_dir) as staging, progress() as report:
            manifest = train(examples, staging, seed=args.seed, progress=report)
    except OSError as error:
        raise CommandError(f"--out {out_dir}: cannot be written: {error}") from error
    _show(manifest)
    say(f"Wrote {shown(out_dir)}: {len(manifest.labels)} labels, learned from {manifest.rows} utterances.")
    if path is not None and config is not None and out_dir.resolve() == config.models_dir.resolve():
        say(f"Next: takt serve{config_flag(path)}")
    return 0


def _examples(args: Namespace, config: Config | None) -> Sequence[tuple[str, str]]:
    """The rows to learn from. Raises: CommandError, PolicyError, DataError."""
    project = None if config is None else read_project(config.routes_path, config.rules_path)
    if project is not None and args.utterances is None:
        if (args.text_column, args.route_column) != ("text", "route"):
            raise CommandError("--text-column and --route-column are for --utterances; a project's CSV has text,route")
        return read_utterances(project)
    rows = read_csv(args.utterances, args.text_column, args.route_column)
    if project is not None:
        unknown = sorted({route for _, route in rows} - set(project.routes.routes) - {OUT_OF_SCOPE})
        if unknown:
            raise CommandError(
                f"{args.utterances}: {', '.join(unknown)} not in {project.routes_path}; add the routes there, "
                "or leave -c out to train on the file alone"
            )
    return rows


def _out_dir(stated: Path | None, config: Config | None) -> Path:
    if stated is not None:
        return stated
    if config is None:
        raise CommandError("--out DIR is needed with --utterances alone; with -c it is models.dir of the project")
    return config.models_dir


@contextmanager
def _replacing(out_dir: Path) -> Iterator[Path]:
    """A directory to write to, whose files replace those of `out_dir` at the end, if the end is reached.

    File by file, so that `out_dir` may be a mount point or hold other files. The manifest comes last: who reads in
    between finds hashes that do not match and refuses.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".training-", dir=out_dir))
    try:
        yield staging
        for file in sorted(staging.iterdir(), key=lambda file: file.name == MANIFEST_FILE):
            file.replace(out_dir / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):  # there are models in it
            out_dir.rmdir()


def _show(manifest: Manifest) -> None:
    columns = ("rung", "accuracy", "ECE", "kB", "p50 us", "p99 us")
    rows = [
        (
            rung.name,
            f"{rung.accuracy:.2%}",
            f"{rung.ece:.3f}",
            f"{rung.bytes / 1_000:.0f}",
            f"{rung.p50_us:.0f}",
            f"{rung.p99_us:.0f}",
        )
        for rung in manifest.rungs
    ]
    table(columns, rows)
    say("Accuracy and ECE are of utterances held out while training.")
