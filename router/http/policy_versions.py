"""/v1/policies/assignment: versions of queues.toml that come and go without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from router.assign.command import Configure
from router.assign.errors import Conflict
from router.assign.policy import Policy
from router.errors import RequestRefused
from router.http import codec
from router.http.errors import Malformed, NoAssignment
from router.http.path import version_of
from router.http.policies import PROPOSAL, find_missing, find_problems, proposed
from router.http.render import time
from router.http.submission import CONTENT_TYPE, Nothing, desk_of, read, respond, show, submit
from router.policy.errors import PolicyError

if TYPE_CHECKING:
    from router.assembly import App
    from router.assign.engine import Stepped
    from router.http.access import Access
    from router.http.submission import Asked
    from router.policy_book import Kept, PolicyBook

_NOTHING = codec.Decoder(Nothing)
_MOST_TOLD = 10


class VersionBrief(msgspec.Struct, frozen=True, kw_only=True):
    """`by`: who kept it; `activated_at`: when it last came into force."""

    version: str
    is_active: bool
    by: str
    at: str | None
    activated_at: str | None


class PolicyVersion(VersionBrief, frozen=True, kw_only=True):
    """With all that it says, as queues.toml would; what has its default is left out."""

    policy: Policy


class PolicyPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first. `previous`: what a rollback leads to."""

    active: str
    previous: str | None
    versions: list[VersionBrief]


class UnknownVersion(RequestRefused):
    status, code = 404, "unknown-version"


class PolicyVersions:
    """The resources."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get_all(self, app: App, request: web.BaseRequest) -> web.Response:
        book = _book(app)
        self._access.of(request).require_supervisor()
        page = PolicyPage(
            active=book.active,
            previous=None if book.previous is None else book.previous.version,
            versions=[_brief(book, each) for each in book.versions()],
        )
        return await show(app, request, page)

    async def get(self, app: App, request: web.BaseRequest) -> web.Response:
        book = _book(app)
        self._access.of(request).require_supervisor()
        return await show(app, request, _view(book, _find(book, version_of(request))))

    async def post(self, app: App, request: web.BaseRequest) -> web.Response:
        """Keep one, which changes nothing yet: 201; 200 where it is there already."""
        book = _book(app)
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, PROPOSAL)
        try:
            policy = proposed(asked.body)
        except PolicyError as error:
            raise Malformed(str(error)) from None
        if problems := await find_problems(app, policy):
            raise Malformed("; ".join(problems[:_MOST_TOLD]))
        _check_missing(app, policy)
        kept, is_new = book.keep(policy, who.role)
        await book.save()
        return web.Response(
            body=codec.encode(asked.answer_type, _view(book, kept)),
            status=201 if is_new else 200,
            headers={CONTENT_TYPE: asked.answer_type, "Location": f"/v1/policies/assignment/versions/{kept.version}"},
        )

    async def post_activate(self, app: App, request: web.BaseRequest) -> web.Response:
        """Put it in force: everybody who waits is placed anew."""
        book = _book(app)
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, _NOTHING)
        return await _activate(app, asked, _find(book, version_of(request)))

    async def post_rollback(self, app: App, request: web.BaseRequest) -> web.Response:
        """Put in force what was before."""
        book = _book(app)
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, _NOTHING)
        previous = book.previous
        if previous is None:
            raise Conflict("there is no version to go back to")
        return await _activate(app, asked, previous)


async def _activate(app: App, asked: Asked, kept: Kept) -> web.Response:
    """Raises: Conflict: it can't take effect, as things are now."""
    book = _book(app)
    if problems := await find_problems(app, kept.policy):
        raise Conflict("; ".join(problems[:_MOST_TOLD]))
    _check_missing(app, kept.policy)

    def note(stepped: Stepped) -> PolicyVersion:
        if not stepped.is_repeat:
            book.activated(kept.policy, asked.who.role)
        return _view(book, _find(book, book.active))

    done = await submit(app, Configure(policy=kept.policy, **asked.identity), note, asked.answer_type)
    await book.save()
    return respond(asked, done)


def _check_missing(app: App, policy: Policy) -> None:
    if missing := find_missing(app, policy):
        raise Conflict("; ".join(missing[:_MOST_TOLD]))


def _book(app: App) -> PolicyBook:
    """Raises: NoAssignment, Unavailable."""
    desk_of(app)
    if app.policies is None:
        raise NoAssignment
    return app.policies


def _find(book: PolicyBook, version: str) -> Kept:
    kept = book.find(version)
    if kept is None:
        known = ", ".join(each.version for each in book.versions())
        raise UnknownVersion(f"{version[:100]!r}: is not kept; there are {known}")
    return kept


def _view(book: PolicyBook, kept: Kept) -> PolicyVersion:
    policy = msgspec.structs.replace(kept.policy, version="")
    return PolicyVersion(**msgspec.structs.asdict(_brief(book, kept)), policy=policy)


def _brief(book: PolicyBook, kept: Kept) -> VersionBrief:
    return VersionBrief(
        version=kept.version,
        is_active=kept.version == book.active,
        by=kept.by,
        at=time(kept.at_ns),
        activated_at=time(kept.activated_ns),
    )
