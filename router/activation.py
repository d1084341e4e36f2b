"""Whether a version of models may serve: it loads, is fast enough, and is not right less often than the active one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from budgets.deadline import NS_PER_MS
from models import canary, errors, registry
from models.canary import Comparison
from models.session import missing_providers
from models.spec import MANIFEST_FILE
from router.policy.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.registry import LoadedModels
    from models.store import Version
    from router.config import Config

# The rung that is cheap enough to run on the event loop; any other runs on the executor.
INLINE_RUNG = "small"


class Activated(Struct, frozen=True, kw_only=True):
    """What became of an activation: what serves now, and what did before. No canary where they are the same."""

    active: str
    previous: str | None
    took_ms: float
    canary: Comparison | None


class Candidate(Struct, frozen=True, kw_only=True):
    """A version that may serve; `loaded` is None where it does already."""

    version: Version
    loaded: LoadedModels | None = None
    canary: Comparison | None = None


def check_providers(config: Config) -> None:
    """Raises: PolicyError: the installed onnxruntime lacks one, and what it has."""
    missing, available = missing_providers(config.settings.models.providers)
    if missing:
        raise PolicyError(
            f"models.providers: the installed onnxruntime has no {', '.join(missing)}; it has {', '.join(available)}"
        )


def rest_as_long(cost_ns: int) -> None:
    """Leave the core, and the interpreter, to others for as long as was just used."""
    time.sleep(cost_ns / 1e9)


def prepare(
    config: Config,
    version: Version,
    active: LoadedModels | None,
    *,
    force: bool,
    rest: Callable[[int], None] = rest_as_long,
) -> Candidate:
    """Load a version and compare it with the active one. For any thread.

    Args:
        force: serve it even if it is right less often.
        rest: called between the parts of the work with what the last one cost in ns; may raise to give it up.
    Raises: ModelError: why it must not serve.
    """
    settings = config.settings
    loaded = load(config, version)
    rest(0)
    for name, rung in loaded.rungs.items():
        inline = name == INLINE_RUNG
        limit_ms = settings.models.inline_limit_ms if inline else settings.budget.default_ms
        # The median: beside a busy server the slowest of twenty texts tells how long a thread waited for a core.
        if rung.p50_ns > limit_ms * NS_PER_MS:
            key = "models.inline_limit_ms" if inline else "budget.default_ms"
            raise errors.TooSlow(f"{name}: takes {rung.p50_ns / NS_PER_MS:.2f} ms here (median); {key} is {limit_ms:g}")
    if active is None:
        return Candidate(version=version, loaded=loaded, canary=Comparison(texts=0, note="nothing to compare with"))
    rows = canary.read(version.path)
    if not rows:
        note = f"not compared: the version has no {canary.CANARY_FILE}"
        return Candidate(version=version, loaded=loaded, canary=Comparison(texts=0, note=note))
    comparison = canary.compare(loaded, active, rows, rest)
    if not force:
        canary.refuse_loss(comparison, settings.models.canary_loss_share)
    return Candidate(version=version, loaded=loaded, canary=comparison)


def load(config: Config, version: Version) -> LoadedModels:
    """Load a version under its name. Raises: ModelError: unusable, or its manifest was altered."""
    loaded = registry.load(version.path, config.settings.models.providers)
    if loaded.manifest.plan_version != version.id:
        raise errors.ManifestError(
            version.path / MANIFEST_FILE, f"is of version {loaded.manifest.plan_version}, not {version.id}: altered"
        )
    return loaded
