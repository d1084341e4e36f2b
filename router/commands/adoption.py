"""`takt models import`: a classifier that was made elsewhere becomes a rung."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from models import card, store
from models.columns import declared
from models.data import read_csv
from models.spec import OUT_OF_SCOPE, FeatureSpec, read_manifest
from router.activation import check_providers
from router.commands.errors import CommandError
from router.commands.location import config_flag, find_config, has_models, shown
from router.commands.terminal import say
from router.commands.train import require_training, show_rungs
from router.config import load_config
from router.policy.project import read_project

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from models.spec import Manifest
    from router.config import Config
    from router.policy.project import Project


def add(args: Namespace) -> tuple[Config, str]:
    """Judge the classifier on the rows, add a version that holds it, and print what it is worth.

    Returns: the project's settings, and the version. Raises: CommandError, ModelError, PolicyError: nothing was added.
    """
    require_training()
    path = find_config(args.config)
    config = load_config(path, os.environ)
    check_providers(config)
    project = read_project(config.routes_path, config.rules_path)
    base = store.resolve(config.models_dir).path if has_models(config) else None
    try:
        with store.stage(config.models_dir) as staging:
            manifest = _adopt(args, config, project, base, staging)
            (staging / card.CARD_FILE).write_text(card.write(manifest), encoding="utf-8")
            version = store.commit(config.models_dir, staging)
        store.prune(config.models_dir, config.settings.models.keep_versions)
    except OSError as error:
        raise CommandError(f"models.dir: {config.models_dir} cannot be written: {error}") from error
    show_rungs(manifest)
    say(f"Wrote {shown(version.path)}. Model card: {shown(version.path / card.CARD_FILE)}.")
    if args.no_activate:
        say(f"Next: takt models activate {version.id}{config_flag(path)}")
    return config, version.id


def _adopt(args: Namespace, config: Config, project: Project, base: Path | None, staging: Path) -> Manifest:
    from models.adopt import Foreign, adopt  # noqa: PLC0415 - can't be imported without the extra

    manifest = None if base is None else read_manifest(base)
    foreign = Foreign(
        name=args.name,
        graph=args.graph,
        labels=None if args.labels is None else _read_labels(args.labels, project),
        output=args.output,
        tokenizer=args.tokenizer,
        max_pieces=args.max_pieces,
        ngrams=None if args.ngram_bits is None else FeatureSpec(bits=args.ngram_bits),
    )
    columns = () if manifest is None else declared(manifest.columns)
    rows = read_csv(args.data, args.text_column, args.route_column, columns)
    labels = foreign.labels or (() if manifest is None else manifest.labels)
    if labels and (unknown := sorted({row.route for row in rows} - {*labels, OUT_OF_SCOPE})):
        raise CommandError(f"{args.data}: the graph has no label for {', '.join(unknown)}; leave these rows out")
    settings = config.settings.models
    return adopt(foreign, base, rows, staging, kept_accuracy=settings.kept_accuracy, providers=settings.providers)


def _read_labels(path: Path, project: Project) -> tuple[str, ...]:
    """The labels of a file, one a line. Raises: CommandError: it holds none, one twice, or one that is no route."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--labels {path}: cannot be read: {error}") from error
    labels = tuple(filter(None, map(str.strip, lines)))
    if len(set(labels)) < max(2, len(labels)):
        raise CommandError(f"--labels {path}: two labels or more are needed, one a line, each once")
    if unknown := sorted(set(labels) - set(project.routes.routes) - {OUT_OF_SCOPE}):
        raise CommandError(f"--labels {path}: {', '.join(unknown)} not in {project.routes_path}; add the routes there")
    return labels
