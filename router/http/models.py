"""/v1/admin/models: which versions there are, which one serves, and another one in its place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from models import errors, store
from models.spec import OUT_OF_SCOPE, read_manifest
from router.errors import RequestRefused
from router.http import codec
from router.http.admin import check_admin, in_format_asked
from router.http.body import read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp import web

    from models.store import Version
    from router.activation import Activated
    from router.assembly import App

_MAX_BYTES = 4_096
_WORDS: dict[type[errors.ModelError], tuple[int, str]] = {
    errors.UnknownVersion: (404, "unknown-version"),
    errors.TooSlow: (422, "model-too-slow"),
    errors.LessAccurate: (422, "model-less-accurate"),
    errors.StoreFailed: (503, "models-not-writable"),
}


class ModelRefused(RequestRefused):
    """A version that does not come into service; the one before serves on."""

    def __init__(self, error: errors.ModelError) -> None:
        self.status, self.code = _WORDS.get(type(error), (422, "model-unusable"))
        super().__init__(str(error))


class ActivateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`version`: its name, or a beginning that no other has. `force`: even if it is right less often."""

    version: str
    force: bool = False


class RungSummary(Struct, frozen=True, kw_only=True):
    """A rung as it was when it was trained."""

    name: str
    accuracy: float
    bytes: int
    p50_us: float
    p99_us: float


class VersionSummary(Struct, frozen=True, kw_only=True):
    """A version on disk; `notes`: what was left out of it; `problem`: why nothing else is known of it."""

    version: str
    is_active: bool
    created_at: str | None = None
    rows: int | None = None
    routes: int | None = None
    rungs: tuple[RungSummary, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


class ModelsPage(Struct, frozen=True, kw_only=True):
    """What serves, what a SIGHUP would take up, what a rollback leads to, and all versions, the newest first."""

    active: str | None
    on_disk: str | None
    previous: str | None
    versions: tuple[VersionSummary, ...]


_ACTIVATE = codec.Decoder(ActivateRequest)


async def get_models(app: App, request: web.BaseRequest) -> web.Response:
    check_admin(app, request)
    loaded = app.models.loaded
    serving = None if loaded is None else loaded.manifest.plan_version
    try:
        page = await asyncio.to_thread(list_models, app.config.models_dir, serving)
    except errors.ModelError as error:
        raise ModelRefused(error) from error
    return in_format_asked(request, page)


async def post_activate(app: App, request: web.BaseRequest) -> web.Response:
    """Answers when the version serves, or with why it does not; who leaves before does not stop it."""
    check_admin(app, request)
    media_type = codec.media_type_of(request.headers.get("Content-Type"))
    body = await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    asked: ActivateRequest = _ACTIVATE.decode(media_type, body)
    done = await _outcome(app.models.activate(asked.version, force=asked.force))
    return in_format_asked(request, done, media_type)


async def post_rollback(app: App, request: web.BaseRequest) -> web.Response:
    """The version before, in the same way; there is nothing to say in a body."""
    check_admin(app, request)
    await read_body(request, _MAX_BYTES, app.config.settings.server.body_timeout_ms)
    return in_format_asked(request, await _outcome(app.models.rollback()))


def list_models(models_dir: Path, serving: str | None) -> ModelsPage:
    """The page. Reads the disk. Args: serving: what is active where it is not what the disk says."""
    on_disk = _id_of(store.resolve, models_dir)
    active = serving or on_disk
    return ModelsPage(
        active=active,
        on_disk=on_disk,
        previous=_id_of(store.former, models_dir),
        versions=tuple(_summary(version, active) for version in store.versions(models_dir).values()),
    )


def _id_of(find: Callable[[Path], Version], models_dir: Path) -> str | None:
    try:
        return find(models_dir).id
    except errors.ModelError:
        return None


def _summary(version: Version, active: str | None) -> VersionSummary:
    try:
        manifest = read_manifest(version.path)
    except errors.ManifestError as error:
        return VersionSummary(version=version.id, is_active=version.id == active, problem=str(error))
    return VersionSummary(
        version=version.id,
        is_active=version.id == active,
        created_at=manifest.created_at,
        rows=manifest.rows,
        routes=len(set(manifest.labels) - {OUT_OF_SCOPE}),
        rungs=tuple(
            RungSummary(name=r.name, accuracy=r.accuracy, bytes=r.bytes, p50_us=r.p50_us, p99_us=r.p99_us)
            for r in manifest.rungs
        ),
        notes=manifest.notes,
    )


async def _outcome(change: Awaitable[Activated]) -> Activated:
    try:
        return await change
    except errors.ModelError as error:
        raise ModelRefused(error) from error
