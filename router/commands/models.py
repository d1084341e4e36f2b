"""`takt models list|activate|rollback|import`: on the files of a project, or, with --url, on the server that runs."""

from __future__ import annotations

import os
import time
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec

from budgets.deadline import NS_PER_MS
from models import errors, store
from router.activation import Activated, check_providers, load, prepare
from router.commands import adoption
from router.commands.errors import CheckFailed, CommandError
from router.commands.location import CONFIG_FILE, find_config, require_models
from router.commands.terminal import facts, note, say, table
from router.config import load_config
from router.http.errors import Problem
from router.http.models import ActivateRequest, ModelsPage, list_models

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from models.registry import LoadedModels
    from models.store import Version
    from router.config import Config

T = TypeVar("T")
_TIMEOUT_S = 300.0  # a large version on a busy machine
_JSON = "application/json"
_ON_FILES = "A server that runs takes it up on SIGHUP, or now: `takt models activate` with --url http://HOST:PORT."
_REFUSED = frozenset((409, 422, 503))


def run(args: Namespace) -> int:
    """List or change, and print. Raises: CheckFailed: the version must not serve."""
    if args.action == "import":
        return _import(args)
    if args.url is not None:
        done = _ask(args)
    else:
        path = find_config(args.config)
        config = load_config(path, os.environ)
        require_models(config, path)
        done = _act(args, config)
    if args.json:
        say(msgspec.json.encode(done).decode())
    elif isinstance(done, ModelsPage):
        _show_versions(done)
    else:
        _show_change(done)
        if args.url is None:
            say(_ON_FILES)
    return 0


def _import(args: Namespace) -> int:
    """Add the version, and take it into service as `activate` would."""
    config, version = adoption.add(args)
    if not args.no_activate:
        _show_change(_change(config, store.find(config.models_dir, version), store.activate, force=False))
        say(_ON_FILES)
    return 0


def _act(args: Namespace, config: Config) -> ModelsPage | Activated:
    """On the files."""
    models_dir = config.models_dir
    if args.action == "list":
        return list_models(models_dir, None)
    check_providers(config)
    if args.action == "activate":
        record = partial(store.activate, forced=args.force)
        return _change(config, store.find(models_dir, args.version), record, force=args.force)
    return _change(config, store.former(models_dir), store.rollback, force=True)


def _change(config: Config, version: Version, record: Callable[[Path, str], object], *, force: bool) -> Activated:
    """Judge a version and record it as active. Raises: CheckFailed: it must not serve."""
    began_ns = time.monotonic_ns()
    active, before = _active(config)
    if active is not None and version.id == before:
        record(config.models_dir, version.id)
        return Activated(active=version.id, previous=before, took_ms=_since_ms(began_ns), canary=None)
    try:
        candidate = prepare(config, version, active, force=force)
    except (errors.BadFile, errors.BadOutput, errors.ManifestError, errors.RunFailed, errors.VersionRefused) as error:
        raise CheckFailed(f"{version.id} is not activated: {error}") from error
    record(config.models_dir, version.id)
    return Activated(active=version.id, previous=before, took_ms=_since_ms(began_ns), canary=candidate.canary)


def _since_ms(began_ns: int) -> float:
    return round((time.monotonic_ns() - began_ns) / NS_PER_MS, 1)


def _active(config: Config) -> tuple[LoadedModels | None, str | None]:
    """The active version, loaded if it can be, and its name. One that cannot be used must not keep others out."""
    try:
        version = store.resolve(config.models_dir)
    except errors.ModelError:
        return None, None
    try:
        return load(config, version), version.id
    except errors.ModelError as error:
        note(f"the active version cannot be compared with: {error}")
        return None, version.id


def _ask(args: Namespace) -> ModelsPage | Activated:
    """A server. Raises: CommandError: it cannot be asked; CheckFailed: it refuses."""
    token = _token(args)
    if not (token.isascii() and token.isprintable()):
        raise CommandError("--token, or server.admin_token: printable ASCII characters are needed")
    if args.action == "list":
        return _fetch(args.url, "", None, token, ModelsPage)
    body = b""
    if args.action == "activate":
        body = msgspec.json.encode(ActivateRequest(version=args.version, force=args.force))
    return _fetch(args.url, f"/{args.action}", body, token, Activated)


def _token(args: Namespace) -> str:
    """The one stated, else that of the project, where there is one."""
    if args.token is not None:
        return str(args.token)
    if args.config is None and not Path(CONFIG_FILE).exists():
        return ""
    return load_config(find_config(args.config), os.environ).settings.server.admin_token


def _fetch(base_url: str, path: str, body: bytes | None, token: str, kind: type[T]) -> T:
    """What `base_url` answers. Raises: as `_ask`."""
    headers = {"Accept": _JSON, "Content-Type": _JSON}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        if urlsplit(base_url).scheme not in {"http", "https"}:
            raise CommandError(f"--url {base_url}: an http:// or https:// address is needed")
        url = f"{base_url.rstrip('/')}/v1/admin/models{path}"
        status, answer = _exchange(Request(url, body, headers))  # noqa: S310 - the scheme has been looked at
    except OSError as error:
        raise CommandError(f"--url: {getattr(error, 'reason', error)}; does the server run?") from error
    except (InvalidURL, ValueError) as error:
        raise CommandError(f"--url {base_url}: {error}") from error
    except HTTPException as error:
        raise CommandError(f"--url: not an answer of Takt's: {error!r}") from error
    try:
        if status == HTTPStatus.OK:
            return msgspec.json.decode(answer, type=kind)
        problem = msgspec.json.decode(answer, type=Problem)
    except ValueError as error:  # no JSON, no UTF-8, or other fields
        raise CommandError(f"--url: {status} and not an answer of Takt's: {error}") from error
    raise (CheckFailed if status in _REFUSED else CommandError)(f"{problem.detail} ({problem.code})")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an answer like any other: urllib would send the token along."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def _exchange(request: Request) -> tuple[int, bytes]:
    """Status and body. Past any proxy, and from nobody else: the token is the server's alone."""
    try:
        answer = build_opener(ProxyHandler({}), _NoRedirect).open(request, timeout=_TIMEOUT_S)
    except HTTPError as refused:
        answer = refused
    with answer:
        return answer.status, answer.read()


def _show_versions(page: ModelsPage) -> None:
    rows = [
        (
            version.version,
            _mark(version.version, page),
            (version.created_at or "")[:16].replace("T", " "),
            str(version.rows or ""),
            version.problem or ", ".join(f"{rung.name} {rung.accuracy:.2%}" for rung in version.rungs),
        )
        for version in page.versions
    ]
    table(("version", "", "made (UTC)", "rows", "rungs, accuracy when trained"), rows)
    say(*(f"{version.version}: {note}" for version in page.versions if version.is_active for note in version.notes))
    if page.on_disk != page.active:
        say(f"On disk {page.on_disk or 'none'} is active: SIGHUP takes it up.")


def _mark(version: str, page: ModelsPage) -> str:
    return "active" if version == page.active else "previous" if version == page.previous else ""


def _show_change(done: Activated) -> None:
    say(f"{done.active} is active; before: {done.previous or 'none'}. Took {done.took_ms / 1e3:.1f} s.")
    canary = done.canary
    if canary is None:
        say("Nothing has changed: it was active already.")
        return
    if canary.note:
        say(f"Canary: {canary.note}")
    if canary.rungs:
        columns = ("rung", "against", "agree", "right", "before", "sure", "before")
        rows = [
            (
                name,
                rung.against,
                f"{rung.agreement_share:.1%}",
                f"{rung.accuracy:.1%}",
                f"{rung.accuracy_active:.1%}",
                f"{rung.sure_share:.1%}",
                f"{rung.sure_share_active:.1%}",
            )
            for name, rung in canary.rungs.items()
        ]
        table(columns, rows)
        say(f"On {canary.texts} canary texts.")
    for what, routes in (("new", canary.new_routes), ("no longer known", canary.lost_routes)):
        if routes:
            facts([(f"routes {what}", ", ".join(routes))])
