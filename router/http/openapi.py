"""/openapi.json, from the structs that the server decodes and encodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from router import __version__
from router.domain.decision import Answer
from router.domain.interaction import Interaction, InteractionBatch
from router.faults import FaultPlan
from router.http import codec
from router.http.app import json_response
from router.http.errors import Problem
from router.log import DecisionRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from router.assembly import App


class Status(msgspec.Struct, frozen=True):
    status: str
    plan_version: str | None = None


_REF = "#/components/schemas/{name}"
_PROBLEMS = {
    "400": "malformed; the detail names the field", "408": "the body took too long", "413": "the body is too large",
    "415": "neither JSON nor MessagePack", "422": "the Idempotency-Key was used for another body",
    "503": "shed or draining", "504": "the budget has run out or can't be met",
}  # fmt: skip
_HEADERS = [
    ("X-Request-Timeout-Ms", "the budget in milliseconds; the smallest of all stated budgets counts"),
    ("grpc-timeout", "the same, as gRPC writes it"),
    ("x-envoy-expected-rq-timeout-ms", "the same, as Envoy writes it"),
    ("Prefer", "wait=SECONDS, the same"),
    ("X-Criticality", "critical-plus, critical, sheddable-plus or sheddable"),
    ("Idempotency-Key", "repeat the request with the same key and get the same answer"),
    ("traceparent", "W3C trace context"),
]


def document() -> dict[str, Any]:
    """The whole description. Pure: the same for every server of a version."""
    structs = (Interaction, InteractionBatch, Answer, DecisionRecord, FaultPlan, Problem, Status)
    _, components = msgspec.json.schema_components(structs, ref_template=_REF)
    # JSON tells an answer from a problem by its fields; msgspec's unions would need a tag.
    either = [{"$ref": _REF.format(name=name)} for name in ("Answer", "Problem")]
    components["Decisions"] = {
        "description": "The answers of a batch, in the order of the request.",
        "type": "object",
        "required": ["decisions"],
        "properties": {"decisions": {"type": "array", "items": {"anyOf": either}}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Takt", "version": __version__, "description": "Routes interactions within a latency budget."},
        "paths": {
            "/v1/interactions": {"post": _post("Decide on one interaction", "Interaction", "Answer")},
            "/v1/interactions:batch": {"post": _post("Decide on up to 256 interactions", "InteractionBatch", "Decisions")},
            "/v1/decisions/{id}": {"get": _get("How a decision came about", "DecisionRecord", ("404", "503"), "id")},
            "/v1/admin/faults": {
                "get": _get("The faults that are injected now", "FaultPlan", ("401", "403", "404")),
                "put": _put("Replace them", "FaultPlan", "FaultPlan"),
            },
            "/healthz": {"get": _get("The process is alive", "Status")},
            "/readyz": {"get": _get("Models are loaded, traffic is welcome", "Status", ("503",))},
            "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "text format"}}}},
            "/openapi.json": {"get": {"summary": "This document", "responses": {"200": {"description": "OpenAPI 3.1"}}}},
        },
        "components": {"schemas": components},
    }


def _content(schema: str, *media_types: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(name=schema)}} for media_type in media_types}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": _content("Problem", "application/problem+json")}


def _post(summary: str, asked: str, answered: str) -> dict[str, Any]:
    both = (codec.JSON, codec.MSGPACK)
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS
        ],
        "requestBody": {"required": True, "content": _content(asked, *both)},
        "responses": {
            "200": {"description": "decided", "content": _content(answered, *both)},
            **{status: _problem(text) for status, text in _PROBLEMS.items()},
        },
    }


def _put(summary: str, asked: str, answered: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(asked, codec.JSON)},
        "responses": {
            "200": {"description": "done", "content": _content(answered, codec.JSON)},
            "400": _problem(_PROBLEMS["400"]),
            "403": _problem("not for you"),
        },
    }


def _get(summary: str, answered: str, problems: tuple[str, ...] = (), parameter: str = "") -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "found", "content": _content(answered, codec.JSON)},
            **{status: _problem("see the detail") for status in problems},
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
