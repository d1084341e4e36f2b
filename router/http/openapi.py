"""/openapi.json, from the structs that the server decodes and encodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router import __version__
from router.activation import Activated
from router.domain.decision import Answer
from router.domain.interaction import Interaction, InteractionBatch
from router.faults import FaultPlan
from router.http import codec, openapi_assignment
from router.http.app import PROBLEM_JSON, json_response
from router.http.errors import Problem
from router.http.models import ActivateRequest, ModelsPage
from router.log import DecisionRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from router.assembly import App


class Status(msgspec.Struct, frozen=True):
    status: str
    plan_version: str | None = None


_BOTH = (codec.JSON, codec.MSGPACK)
_REF = "#/components/schemas/{name}"
_PROBLEMS = {
    "400": "malformed; the detail names the field",
    "401": "the bearer token is missing, or is not one of those that are known here",
    "403": "without a token only the server's own machine is let in",
    "404": "not there",
    "408": "the body took too long",
    "409": "another version is being loaded; the state of the task or the resource does not allow it",
    "410": "the offer's time was over",
    "412": "it went on: the version or the fence is not that of now",
    "413": "the body is too large",
    "415": "neither JSON nor MessagePack",
    "422": "well-formed, but refused: the Idempotency-Key was used for another body, or the version must not serve",
    "503": "shed, draining, full or not ready, or the log can't be written",
    "504": "the budget has run out or can't be met",
}
_BODY_PROBLEMS = ("400", "408", "413", "415")
_CALLER = "caller"
_ADMIN_PROBLEMS = ("401", "403", "404")
_MODEL_PROBLEMS = (*_ADMIN_PROBLEMS, "422")
_BATCH_HEADERS = [
    ("X-Request-Timeout-Ms", "the budget in milliseconds; the smallest of all stated budgets counts"),
    ("grpc-timeout", "the same, as gRPC writes it"),
    ("x-envoy-expected-rq-timeout-ms", "the same, as Envoy writes it"),
    ("Prefer", "wait=SECONDS, the same"),
    ("traceparent", "W3C trace context"),
]
_HEADERS = [
    *_BATCH_HEADERS,
    ("X-Criticality", "critical-plus, critical, sheddable-plus or sheddable; lowered to what the caller may ask for"),
    ("Idempotency-Key", "repeat the request with the same key and get the same answer"),
]


def document() -> dict[str, Any]:
    """The whole description. Pure: the same for every server of a version."""
    structs = (
        Interaction, InteractionBatch, Answer, DecisionRecord, FaultPlan, ActivateRequest, Activated, ModelsPage,
        Problem, Status, *openapi_assignment.structs(),
    )  # fmt: skip
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    # JSON tells an answer from a problem by its fields; msgspec's unions would need a tag.
    either = [{"$ref": _REF.format(name=name)} for name in ("Answer", "Problem")]
    components["Decisions"] = {
        "description": "The answers of a batch, in the order of the request.",
        "type": "object",
        "required": ["decisions"],
        "properties": {"decisions": {"type": "array", "items": {"anyOf": either}}},
    }
    components["DecisionRecord"]["properties"]["at"] = {"type": "string", "format": "date-time"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Takt", "version": __version__, "description": "Routes within a latency budget."},
        "paths": {
            "/v1/interactions": {
                "post": _post("Decide on one interaction", "Interaction", "Answer", _HEADERS, ("422", "503", "504"))
            },
            "/v1/interactions:batch": {
                "post": _post("Decide on up to 256 interactions", "InteractionBatch", "Decisions", _BATCH_HEADERS)
            },
            "/v1/decisions/{id}": {
                "get": _get("How a decision came about", "DecisionRecord", (*_ADMIN_PROBLEMS, "503"), "id", _BOTH)
            },
            "/v1/admin/faults": {
                "get": _get("The faults that are injected now", "FaultPlan", _ADMIN_PROBLEMS, media_types=_BOTH),
                "put": _change("Replace them", "FaultPlan", "FaultPlan"),
            },
            "/v1/admin/models": {
                "get": _get(
                    "The versions of the models, and which one serves", "ModelsPage", _MODEL_PROBLEMS, media_types=_BOTH
                )
            },
            "/v1/admin/models/activate": {
                "post": _change("Serve another version", "ActivateRequest", "Activated", "409", "422", "503")
            },
            "/v1/admin/models/rollback": {
                "post": _change("Serve the version before again", None, "Activated", "409", "422", "503")
            },
            **openapi_assignment.paths(_PROBLEMS, _BOTH, PROBLEM_JSON),
            "/healthz": {"get": _get("The process is alive", "Status")},
            "/readyz": {"get": _get("Models are loaded, traffic is welcome", "Status", ("503",))},
            "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "as text"}}}},
            "/openapi.json": {"get": {"summary": "This document", "responses": {"200": {"description": "JSON"}}}},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                _CALLER: {"type": "http", "scheme": "bearer", "description": "the key of a caller of takt.toml"}
            },
        },
    }


def _content(schema: str, *media_types: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(name=schema)}} for media_type in media_types}


def _problems(*statuses: str) -> dict[str, Any]:
    content = _content("Problem", PROBLEM_JSON)
    return {status: {"description": _PROBLEMS[status], "content": content} for status in sorted(statuses)}


def _post(
    summary: str, asked: str, answered: str, headers: list[tuple[str, str]], problems: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "summary": summary,
        "security": [{}, {_CALLER: []}],
        "parameters": [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in headers
        ],
        "requestBody": {"required": True, "content": _content(asked, *_BOTH)},
        "responses": {
            "200": {"description": "decided", "content": _content(answered, *_BOTH)},
            **_problems(*_BODY_PROBLEMS, "401", *problems),
        },
    }


def _change(summary: str, asked: str | None, answered: str, *problems: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "done", "content": _content(answered, *_BOTH)},
            **_problems(*_BODY_PROBLEMS, *_ADMIN_PROBLEMS, *problems),
        },
    }
    if asked is not None:
        operation["requestBody"] = {"required": True, "content": _content(asked, *_BOTH)}
    return operation


def _get(
    summary: str,
    answered: str,
    problems: tuple[str, ...] = (),
    parameter: str = "",
    media_types: tuple[str, ...] = (codec.JSON,),
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "found", "content": _content(answered, *media_types)},
            **_problems(*problems),
        },
    }
    if parameter:
        operation["parameters"] = [{"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}]
    return operation


def page() -> Callable[[App, web.BaseRequest], Awaitable[web.Response]]:
    """The handler; the document is made once."""
    text = document()

    async def get_openapi(_app: App, _request: web.BaseRequest) -> web.Response:
        return json_response(text)

    return get_openapi
