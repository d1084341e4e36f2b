"""`takt train`: from utterances to a directory of models."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models import card, store
from models.data import read_csv
from models.errors import ModelError, TorchMissing
from models.spec import OUT_OF_SCOPE, read_manifest
from router.commands.correction import read_corrections
from router.commands.errors import CheckFailed, CommandError
from router.commands.location import config_flag, find_config, shown
from router.commands.terminal import progress, say, table
from router.config import ModelSettings, load_config
from router.policy.project import read_project, read_utterances

if TYPE_CHECKING:
    from argparse import Namespace

    from models.data import Example
    from models.spec import Manifest
    from router.config import Config
    from router.policy.project import Project

TRAINING = ("onnx", "safetensors", "scipy")
"""What only training needs to have installed."""


def run(args: Namespace) -> int:
    """Train into a directory of its own; only what has passed its checks becomes a version."""
    require_training()
    from models.train import REPORT_FILE  # noqa: PLC0415 - can't be imported without the extra

    path = None if args.config is None and args.utterances is not None else find_config(args.config)
    config = None if path is None else load_config(path, os.environ)
    project = None if config is None else read_project(config.routes_path, config.rules_path)
    settings = ModelSettings() if config is None else config.settings.models
    out_dir = _out_dir(args.out, config)
    training = _prepared(args, config, project, settings)
    try:
        with store.stage(out_dir) as staging, progress() as report:
            manifest = training(staging, progress=report)
            (staging / card.CARD_FILE).write_text(card.write(manifest), encoding="utf-8")
            version = store.commit(out_dir, staging)
        lost = _lost(out_dir, manifest)
        if not args.no_activate and not lost:
            store.activate(out_dir, version.id)
        store.prune(out_dir, settings.keep_versions)
    except OSError as error:
        raise CommandError(f"--out {out_dir}: cannot be written: {error}") from error
    show_rungs(manifest)
    say(f"Wrote {shown(version.path)}: {len(manifest.labels)} labels, learned from {manifest.rows} utterances.")
    say(f"Report: {shown(version.path / REPORT_FILE)}. Model card: {shown(version.path / card.CARD_FILE)}.")
    if path is not None and config is not None and out_dir.resolve() == config.models_dir.resolve():
        is_next = args.no_activate or lost
        say(f"Next: takt {'models activate ' + version.id if is_next else 'serve'}{config_flag(path)}")
    if lost and not args.no_activate:
        raise CheckFailed(f"the active version has {' and '.join(lost)}, this one has not, so it is not activated")
    return 0


def _lost(models_dir: Path, manifest: Manifest) -> list[str]:
    """Rungs of the active version that the new one lacks: an encoder that was not found must not cost one unseen."""
    try:
        active = read_manifest(store.resolve(models_dir).path)
    except ModelError:  # there is none that could lose
        return []
    return sorted({rung.name for rung in active.rungs} - {rung.name for rung in manifest.rungs})


def require_training() -> None:
    """Raises: CommandError: the libraries that only training needs are not installed."""
    missing = [name for name in TRAINING if find_spec(name) is None]
    if missing:
        raise CommandError(f"training needs {' and '.join(missing)}, not installed: pip install 'takt[train]'")


def _prepared(
    args: Namespace, config: Config | None, project: Project | None, settings: ModelSettings
) -> partial[Manifest]:
    """The training, with all that it needs; what is missing is told before it begins.

    Raises: CommandError, ModelError, PolicyError, LogError.
    """
    from models.encoder.find import INSTALL, find_encoder  # noqa: PLC0415 - as in `run`
    from models.train import train  # noqa: PLC0415

    examples = _examples(args, config, project)
    encoder = find_encoder(args.encoder or (None if config is None else config.encoder_dir))
    if args.accurate and encoder is None:
        raise CommandError(f"--accurate: there is no encoder to tune; {INSTALL}, or name one with --encoder DIR")
    if args.accurate and find_spec("torch") is None:
        raise TorchMissing
    return partial(
        train,
        examples,
        seed=args.seed,
        columns=() if project is None else project.routes.columns,
        encoder=encoder,
        accurate=args.accurate,
        kept_accuracy=settings.kept_accuracy if args.kept_accuracy is None else args.kept_accuracy,
    )


def _examples(args: Namespace, config: Config | None, project: Project | None) -> list[Example]:
    """The rows to learn from. Raises: CommandError, DataError, LogError."""
    rows = _utterances(args, project)
    if args.labels is None:
        return rows
    if config is None or project is None:
        raise CommandError("--labels: the texts are in a project's log; name the project with -c")
    return rows + _known_routes(read_corrections(args.labels, config, project.routes.columns), project, args.labels)


def _utterances(args: Namespace, project: Project | None) -> list[Example]:
    if project is not None and args.utterances is None:
        if (args.text_column, args.route_column) != ("text", "route"):
            raise CommandError("--text-column and --route-column are for --utterances; a project's CSV has text,route")
        return read_utterances(project)
    if project is None:
        return read_csv(args.utterances, args.text_column, args.route_column)
    rows = read_csv(args.utterances, args.text_column, args.route_column, project.routes.columns)
    return _known_routes(rows, project, args.utterances)


def _known_routes(rows: list[Example], project: Project, path: Path) -> list[Example]:
    """The rows. Raises: CommandError: the project has not all of their routes."""
    unknown = sorted({row.route for row in rows} - set(project.routes.routes) - {OUT_OF_SCOPE})
    if unknown:
        raise CommandError(
            f"{path}: {', '.join(unknown)} not in {project.routes_path}; add the routes there, or leave these rows out"
        )
    return rows


def _out_dir(stated: Path | None, config: Config | None) -> Path:
    if stated is not None:
        return stated
    if config is None:
        raise CommandError("--out DIR is needed with --utterances alone; with -c it is models.dir of the project")
    return config.models_dir


def show_rungs(manifest: Manifest) -> None:
    """The table of rungs, what its columns mean, and what the manifest notes."""
    columns = ("rung", "accuracy", "ECE", "threshold", "keeps", "right", "kB", "p50 us", "p99 us")
    rows = [
        (
            rung.name,
            f"{rung.accuracy:.2%}",
            f"{rung.ece:.3f}",
            f"{rung.threshold:.3f}",
            _share(rung.kept_share),
            _share(rung.kept_accuracy),
            f"{rung.bytes / 1_000:.0f}",
            f"{rung.p50_us:.0f}",
            f"{rung.p99_us:.0f}",
        )
        for rung in manifest.rungs
    ]
    table(columns, rows)
    say(
        "All on utterances that the rung had not learned from. `keeps`: the share of them that is sure enough for a"
        " route, `right`: of those; the others go to the `unsure` route."
    )
    say(*(f"Note: {note}" for note in manifest.notes))


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
