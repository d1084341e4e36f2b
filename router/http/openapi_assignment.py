"""The part of /openapi.json that is about tasks, offers, resources, queues, policies and streams."""

from __future__ import annotations

from typing import Any, NamedTuple

from router.adapters.chatwoot import WebhookEvent
from router.adapters.desk import Report
from router.adapters.rocketchat import OmnichannelEvent
from router.http import adapters, moves, policies, policy_versions, queues, resources, stats, submission, view, webhooks
from router.insight.explanation import Explanation

REF = "#/components/schemas/"


class Operation(NamedTuple):
    """One method of one resource."""

    summary: str
    answer: type
    body: type | None = None
    statuses: tuple[str, ...] = ()
    """Of problems, beside those that any of them can have."""
    query: tuple[str, ...] = ()
    created: bool = False
    """201 where it is new."""


_TASK, _RESOURCE, _QUEUE = view.TaskView, view.ResourceView, view.QueueView
_MOVED = ("409", "412", "422", "503")
_KEYED = ("409", "422", "503")
_BODIES = {
    "cancel": (moves.Cancel, "Cancel it: offers are taken back"),
    "requeue": (moves.Requeue, "Back to its queue, at its age"),
    "transfer": (moves.Transfer, "To another queue, or to one resource"),
    "escalate": (moves.Escalate, "From a bot to people, with all it knows"),
    "complete": (moves.Complete, "The talk is over; again: so is the wrap-up"),
    "pause": (submission.Nothing, "The customer is silent"),
    "resume": (submission.Nothing, "The customer is back"),
    "callback": (moves.Callback, "The customer will be called back"),
    "signals": (moves.Signals, "Something happened in the conversation"),
}
OPERATIONS: dict[str, dict[str, Operation]] = {
    "/v1/tasks": {
        "get": Operation(
            "Tasks, in the order of their queue", view.TaskPage, query=("queue", "state", "resource", "limit", "after")
        ),
        "post": Operation("Create a task, once", _TASK, moves.Create, _KEYED, created=True),
    },
    "/v1/tasks/{id}": {
        "get": Operation("A task", _TASK),
        "patch": Operation("Change it; `If-Match` names a version", _TASK, moves.Update, _MOVED),
    },
    "/v1/tasks/{id}/explain": {"get": Operation("Why it waits, and what would help", Explanation)},
    "/v1/tasks/{id}/events": {
        "get": Operation("What happened to it, without gaps", view.EventPage, query=("after", "limit"))
    },
    **{
        f"/v1/tasks/{{id}}/{name}": {"post": Operation(summary, _TASK, body, _MOVED)}
        for name, (body, summary) in _BODIES.items()
    },
    "/v1/offers/{id}/accept": {
        "post": Operation("Take the task", view.Settled, moves.Accepting, (*_MOVED, "410")),
    },
    "/v1/offers/{id}/decline": {
        "post": Operation("Leave it to others", view.Settled, moves.Declining, (*_MOVED, "410")),
    },
    "/v1/resources": {
        "get": Operation("Who can take tasks", view.ResourcePage, query=("queue", "presence", "limit", "after"))
    },
    "/v1/resources/{id}": {
        "get": Operation("A resource", _RESOURCE),
        "put": Operation("A resource as it shall be", _RESOURCE, resources.Put, _KEYED, created=True),
    },
    "/v1/resources/{id}/work": {"get": Operation("All it has to do", view.Work)},
    "/v1/resources/{id}/presence": {
        "post": Operation("Sign in, out, or away", view.SignedIn, resources.Signing, _KEYED)
    },
    "/v1/resources/{id}/drain": {
        "post": Operation("Finish what it has, take nothing more", view.SignedIn, resources.Draining, _KEYED)
    },
    "/v1/resources/{id}/heartbeat": {"post": Operation("A sign of life", view.Lease, resources.Beat, ("409",))},
    "/v1/resources/{id}/token": {"post": Operation("A token for its own program", view.Token, resources.TokenRequest)},
    "/v1/queues": {"get": Operation("All queues", view.QueuePage)},
    "/v1/queues/{id}": {"get": Operation("A queue", _QUEUE)},
    "/v1/queues/{id}/open": {"put": Operation("Open or close it by hand", _QUEUE, queues.Open, _KEYED)},
    "/v1/skills": {"get": Operation("Skills, and who has them", view.SkillPage)},
    "/v1/policies:dry-run": {
        "post": Operation("What another queues.toml would change", policies.DryRun, policies.Proposal)
    },
    "/v1/policies/assignment/versions": {
        "get": Operation("Versions of the policy, the newest first", policy_versions.PolicyPage),
        "post": Operation(
            "Keep one, to activate it", policy_versions.PolicyVersion, policies.Proposal, ("409", "503"), created=True
        ),
    },
    "/v1/policies/assignment/versions/{id}": {"get": Operation("What it says", policy_versions.PolicyVersion)},
    "/v1/policies/assignment/versions/{id}/activate": {
        "post": Operation("Put it in force", policy_versions.PolicyVersion, submission.Nothing, _KEYED)
    },
    "/v1/policies/assignment/rollback": {
        "post": Operation("Put in force what was before", policy_versions.PolicyVersion, submission.Nothing, _KEYED)
    },
    "/v1/stats/queues": {"get": Operation("Figures of queues over a window", stats.QueueStats, query=("window",))},
    "/v1/stats/agents": {
        "get": Operation("Figures of agents over a window", stats.AgentStats, query=("window", "limit", "after"))
    },
    "/v1/admin/webhooks": {"get": Operation("How deliveries to webhooks do", webhooks.WebhooksPage)},
    "/v1/admin/webhooks/{id}/dead": {
        "get": Operation("Events that were given up", webhooks.DeadPage, query=("limit", "after"))
    },
    "/v1/admin/webhooks/{id}/replay": {
        "post": Operation("Send them once more", webhooks.Replayed, webhooks.ReplayRequest)
    },
    "/v1/adapters/rocketchat/agent": {
        "get": Operation("Who is next? (Rocket.Chat)", adapters.NextAgent, query=("departmentId", "ignoreAgentId"))
    },
    "/v1/adapters/rocketchat/events": {"post": Operation("What became of a room", Report, OmnichannelEvent)},
    "/v1/adapters/chatwoot/events": {"post": Operation("What became of a conversation", Report, WebhookEvent)},
}
STREAMS = {
    "/v1/agents/{id}/stream": ("WebSocket of an agent: offers and tasks, requests and replies", ("session", "token")),
    "/v1/supervisor/stream": ("WebSocket of a supervisor: every event, in order", ("topics", "cursor", "token")),
}


def structs() -> list[type]:
    """All that these resources decode and encode."""
    operations = [each for methods in OPERATIONS.values() for each in methods.values()]
    return list(dict.fromkeys([each.answer for each in operations] + [each.body for each in operations if each.body]))


def paths(problems: dict[str, str], media_types: tuple[str, ...], problem_type: str) -> dict[str, Any]:
    """Args: problems: what each status means."""

    def content(name: str, *types: str) -> dict[str, Any]:
        return {media_type: {"schema": {"$ref": REF + name}} for media_type in types}

    def refusals(*statuses: str) -> dict[str, Any]:
        refused = content("Problem", problem_type)
        return {status: {"description": problems[status], "content": refused} for status in sorted(statuses)}

    def operation(path: str, told: Operation) -> dict[str, Any]:
        keyed = "422" in told.statuses
        found = content(told.answer.__name__, *media_types)
        made: dict[str, Any] = {
            "summary": told.summary,
            "security": [{}, {"caller": []}],
            "parameters": [*_in_path(path), *_in_query(told.query), *([_KEY] if keyed else [])],
            "responses": {
                "200": {"description": "done", "content": found},
                **({"201": {"description": "new", "content": found}} if told.created else {}),
                **refusals("401", "403", "404", *({"400", "408", "413", "415"} if told.body else ()), *told.statuses),
            },
        }
        if told.body is not None:
            made["requestBody"] = {"required": False, "content": content(told.body.__name__, *media_types)}
        return made

    found = {
        path: {method: operation(path, told) for method, told in methods.items()}
        for path, methods in OPERATIONS.items()
    }
    for path, (summary, query) in STREAMS.items():
        found[path] = {
            "get": {
                "summary": summary,
                "parameters": [*_in_path(path), *_in_query(query)],
                "responses": {
                    "101": {"description": "JSON text frames; docs/http-api.md has the messages"},
                    **refusals("400", "401", "403", "404", "503"),
                },
            }
        }
    return found


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "repeat the request with the same key, and it is done once",
    "schema": {"type": "string"},
}


def _in_path(path: str) -> list[dict[str, Any]]:
    if "{id}" not in path:
        return []
    return [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]


def _in_query(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in names]
