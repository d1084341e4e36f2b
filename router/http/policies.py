"""/v1/policies:dry-run: whether another policy could take effect, and what it would change for those who wait now."""

from __future__ import annotations

import asyncio
import tomllib
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import msgspec

from router.assign.errors import Refused
from router.assign.policy import Policy
from router.assign.requirement import signature_of, steps_of
from router.assign.state import State
from router.assign.transition import TERMINAL
from router.http import codec
from router.http.errors import Malformed
from router.http.submission import Body, desk_of, read, show
from router.policy.errors import PolicyError
from router.queues import compile_condition, fit_queues, problems_of

if TYPE_CHECKING:
    from aiohttp import web

    from router.assembly import App
    from router.assign.entity import Task
    from router.assign.policy import QueuePolicy
    from router.http.access import Access

_MAX_TASKS, _MAX_NAMED = 10_000, 100
# Other connections get their turn of the event loop in between.
_SLICE = 100


class Proposal(Body, frozen=True, kw_only=True):
    """What queues.toml would say: as text, or as an object."""

    toml: str | None = None
    policy: dict[str, Any] | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """For the tasks that wait now. `blocked`: somebody who is signed in could take it now, and nobody then;
    `unblocked`: the other way round; `homeless`: its queue would be gone. Of each the first hundred are named.
    """

    waiting: int
    checked: int
    blocked_total: int = 0
    unblocked_total: int = 0
    homeless_total: int = 0
    blocked: list[str] = []
    unblocked: list[str] = []
    homeless: list[str] = []


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """`problems`: why it could not take effect."""

    version: str
    is_valid: bool
    problems: list[str]
    changes: Changes | None


PROPOSAL = codec.Decoder(Proposal)


class Policies:
    """The resource."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def post_dry_run(self, app: App, request: web.BaseRequest) -> web.Response:
        """Nothing changes."""
        desk = desk_of(app)
        who = self._access.of(request)
        who.require_supervisor()
        asked = await read(app, request, who, PROPOSAL)
        try:
            policy = proposed(asked.body)
        except PolicyError as error:
            return await show(app, request, DryRun(version="", is_valid=False, problems=[str(error)], changes=None))
        problems = await find_problems(app, policy)
        changes = None if problems else await find_changes(desk.state, policy)
        problems = problems or find_missing(app, policy)
        run = DryRun(version=policy.version, is_valid=not problems, problems=problems, changes=changes)
        return await show(app, request, run)


def proposed(body: Proposal) -> Policy:
    """Raises: Malformed, PolicyError: it is no policy."""
    return fit_queues(_raw(body), "the policy")


async def find_problems(app: App, policy: Policy) -> list[str]:
    """What is wrong with it in itself. In a thread: it looks at files."""
    return await asyncio.to_thread(lambda: problems_of(policy, (app.config.queues_path or app.config.folder).parent))


def _raw(body: Proposal) -> dict[str, Any]:
    """Raises: Malformed."""
    if (body.toml is None) == (body.policy is None):
        raise Malformed("send one of `toml` and `policy`")
    if body.policy is not None:
        return body.policy
    try:
        return tomllib.loads(body.toml or "")
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"toml: {error}") from None


def find_missing(app: App, policy: Policy) -> list[str]:
    """Queues that it leaves out, and that are in use now."""
    state = desk_of(app).state
    used = {name for resource in state.resources.values() for name in resource.queues}
    used |= {task.queue for task in state.tasks.values() if task.state not in TERMINAL}
    in_use = [f"queues.{name}: tasks or resources are in it" for name in sorted(used - set(policy.queues))]
    return in_use + app.misled(policy)


async def find_changes(state: State, policy: Policy) -> Changes:
    """Compare, for each who waits, who could take the task now and then. By the engine's own index, on copies."""
    shadow = State(compile_condition, policy)
    shadow.now_ns = state.now_ns
    for number, resource in enumerate(list(state.resources.values()), 1):
        shadow.insert_resource(msgspec.structs.replace(resource, tasks=[], used=0))
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    names: dict[str, list[str]] = {"blocked": [], "unblocked": [], "homeless": []}
    waiting = sum(queue.waiting for queue in state.queues.values())
    lines = chain.from_iterable(state.index.waiting_in(queue) for queue in state.policy.queues)
    checked = 0
    for task_id in list(islice(lines, _MAX_TASKS)):
        task, group = state.tasks.get(task_id), state.index.group_of(task_id)
        if task is not None:
            checked += 1
            is_met = group is None or group.present > 0  # without a group it is being offered
            if (found := _compare(shadow, task, is_met=is_met)) is not None:
                names[found].append(task_id)
        if checked % _SLICE == 0:
            await asyncio.sleep(0)
    return Changes(
        waiting=waiting,
        checked=checked,
        blocked_total=len(names["blocked"]),
        unblocked_total=len(names["unblocked"]),
        homeless_total=len(names["homeless"]),
        blocked=names["blocked"][:_MAX_NAMED],
        unblocked=names["unblocked"][:_MAX_NAMED],
        homeless=names["homeless"][:_MAX_NAMED],
    )


def _compare(shadow: State, task: Task, *, is_met: bool) -> str | None:
    queue = shadow.policy.queues.get(task.queue)
    if queue is None:
        return "homeless"
    step = steps_of(queue)[_step_at(queue, (shadow.now_ns - task.stepped_ns) / 1e9)]
    try:
        would_be_met = shadow.index.present(signature_of(queue, task, step)) > 0
    except Refused:  # more different requirements than the policy allows
        would_be_met = False
    if would_be_met == is_met:
        return None
    return "unblocked" if would_be_met else "blocked"


def _step_at(queue: QueuePolicy, age_s: float) -> int:
    """The step that a wait has reached."""
    steps = steps_of(queue)
    for number, step in enumerate(steps[:-1]):
        age_s -= step.for_s or 0.0
        if age_s < 0:
            return number
    return len(steps) - 1
