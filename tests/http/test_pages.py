"""Health, metrics, the description of the interface, and everything that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from budgets.ledger import STAGES
from router.http.openapi_assignment import OPERATIONS, STREAMS
from tests.http_project import SURE_TEXT
from tests.http_server import JSON_TYPE, PATH

if TYPE_CHECKING:
    from tests.http.conftest import MakeConfig
    from tests.http_server import LoopThread, Reply, Running

DECISION = "/v1/decisions/0123456789abcdef"
MODELS = "/v1/admin/models"
PAGES = {
    PATH: "POST",
    f"{PATH}:batch": "POST",
    "/v1/admin/faults": "GET, PUT",
    "/v1/admin/models": "GET",
    "/v1/admin/models/activate": "POST",
    "/v1/admin/models/rollback": "POST",
    "/healthz": "GET",
    "/readyz": "GET",
    "/metrics": "GET",
    "/openapi.json": "GET",
    DECISION: "GET",
}


def test_health_and_readiness_before_and_after_the_models_are_there(
    loop_thread: LoopThread, make_config: MakeConfig
) -> None:
    with loop_thread.serving(make_config(), start=False) as server:
        assert server.ask("GET", "/healthz").json() == {"status": "ok"}
        reply = server.ask("GET", "/readyz")
        assert "models" in reply.problem(503, "unavailable")
        assert reply.headers["Retry-After"] == "1"
        server.run(server.app.start())
        ready = server.ask("GET", "/readyz")
        assert ready.status == 200
        assert ready.json() == {"status": "ready", "plan_version": server.app.point.plan.version}
        assert server.app.point.plan.version


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD", "BREW"])
@pytest.mark.parametrize("path", PAGES)
def test_another_method_is_refused_with_those_that_are_allowed(slow: Running, path: str, method: str) -> None:
    allowed = PAGES[path].split(", ")
    reply = slow.ask(method, path)
    if method in allowed or (method == "HEAD" and "GET" in allowed):
        assert reply.status != 405
        return
    if method == "BREW":  # aiohttp knows which methods there are
        assert reply.status in {400, 405}
        return
    if method == "HEAD":
        assert (reply.status, reply.body) == (405, b"")
    else:
        reply.problem(405, "method-not-allowed")
    assert reply.headers["Allow"].split(", ") == sorted({*allowed, *({"HEAD"} if "GET" in allowed else ())})


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_head_is_get_without_the_body(server: Running, path: str) -> None:
    got, head = server.ask("GET", path), server.ask("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/interaction", f"{PATH}/", f"{PATH}:batch/", "//healthz", "/HEALTHZ", "/healthz/..",
     "/%68ealthz", "/v1/decisions", "/%ff%00", "/" + "x" * 5_000, "/../../etc/passwd"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(server: Running, path: str) -> None:
    assert "/openapi.json" in server.ask("GET", path).problem(404, "not-found")
    server.ask("POST", path, b'{"text": "a"}', JSON_TYPE).problem(404, "not-found")


@pytest.mark.parametrize("query", ["?", "?a=b", "?/../", "?%ff", "?a#b"])
def test_a_query_makes_no_difference(server: Running, query: str) -> None:
    assert server.ask("GET", f"/healthz{query}").status == 200


def test_metrics_are_read_by_prometheus_own_parser(server: Running) -> None:
    server.decide(SURE_TEXT)
    server.post({"text": SURE_TEXT, "budget_ms": 0})
    reply = server.ask("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    parsed = list(text_string_to_metric_families(reply.body.decode()))
    samples = [sample for family in parsed for sample in family.samples]
    stages = {sample.labels["stage"] for sample in samples if "stage" in sample.labels}
    assert stages <= set(STAGES)
    assert stages
    assert any(sample.labels.get("rung") == "small" and sample.value > 0 for sample in samples)
    assert any("deadline-expired" in sample.labels.values() and sample.value > 0 for sample in samples)


def test_metrics_come_as_openmetrics_to_those_who_accept_it(server: Running) -> None:
    reply = server.ask("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
    assert list(openmetrics_families(reply.body.decode()))  # type: ignore[no-untyped-call]


# --- the description ------------------------------------------------------------------------------------------------


@pytest.fixture
def description(server: Running) -> Any:
    reply = server.ask("GET", "/openapi.json")
    assert reply.headers["Content-Type"] == "application/json"
    return reply.json()


def test_the_description_is_openapi_and_its_references_lead_somewhere(description: Any) -> None:
    assert description["openapi"].startswith("3.1")
    assert description["info"].keys() >= {"title", "version"}
    found = list(_references(description))
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in description["components"]["schemas"]
    for path, item in description["paths"].items():
        for operation in item.values():
            assert operation["responses"].keys() & {"200", "101"}
            parameters = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert parameters == ({"id"} if "{id}" in path else set())


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def test_the_description_names_all_there_is_and_nothing_else(description: Any) -> None:
    described = {
        path.replace("{id}", "0123456789abcdef"): ", ".join(sorted(method.upper() for method in item))
        for path, item in description["paths"].items()
        if path not in {*OPERATIONS, *STREAMS}  # test_desk_openapi.py
    }
    assert described == PAGES


def test_real_answers_are_as_described(server: Running, description: Any) -> None:
    decided = server.post({"text": SURE_TEXT, "id": "x"})
    record = f"/v1/decisions/{decided.json()['decision_id']}"
    serving = server.ask("GET", MODELS).json()["active"]
    batch = {"interactions": [{"text": SURE_TEXT}, {"text": SURE_TEXT, "budget_ms": 0}]}
    replies: list[tuple[str, str, Reply]] = [
        (PATH, "post", decided),
        (PATH, "post", server.post({"text": "real person"})),
        (PATH, "post", server.post({"text": ""})),
        (PATH, "post", server.post({"text": "a", "budget_ms": 0})),
        (PATH, "post", server.post({"text": "x" * 100_000})),
        (PATH, "post", server.ask("POST", PATH, b"a", {"Content-Type": "text/plain"})),
        (f"{PATH}:batch", "post", server.post(batch, path=f"{PATH}:batch")),
        (f"{PATH}:batch", "post", server.post({}, path=f"{PATH}:batch")),
        ("/v1/decisions/{id}", "get", server.ask("GET", record)),
        ("/v1/decisions/{id}", "get", server.ask("GET", DECISION)),
        ("/v1/decisions/{id}", "get", server.ask("GET", DECISION, headers={"Via": "x"})),
        ("/v1/admin/faults", "get", server.ask("GET", "/v1/admin/faults")),
        ("/v1/admin/faults", "get", server.ask("GET", "/v1/admin/faults", headers={"Via": "x"})),
        ("/v1/admin/faults", "put", server.ask("PUT", "/v1/admin/faults", b"{}", JSON_TYPE)),
        ("/v1/admin/faults", "put", server.ask("PUT", "/v1/admin/faults", b"[]", JSON_TYPE)),
        ("/v1/admin/faults", "put", server.ask("PUT", "/v1/admin/faults", b"", {"Content-Type": "a/b"})),
        (MODELS, "get", server.ask("GET", MODELS)),
        (MODELS, "get", server.ask("GET", MODELS, headers={"Via": "x"})),
        (f"{MODELS}/activate", "post", server.post({"version": serving}, path=f"{MODELS}/activate")),
        (f"{MODELS}/activate", "post", server.post({"version": "none"}, path=f"{MODELS}/activate")),
        (f"{MODELS}/activate", "post", server.post({}, path=f"{MODELS}/activate")),
        (f"{MODELS}/rollback", "post", server.post({}, path=f"{MODELS}/rollback")),
        ("/healthz", "get", server.ask("GET", "/healthz")),
        ("/readyz", "get", server.ask("GET", "/readyz")),
    ]
    schemas = description["components"]["schemas"]
    for path, method, reply in replies:
        responses = description["paths"][path][method]["responses"]
        assert str(reply.status) in responses, (path, method, reply.status)
        content = responses[str(reply.status)]["content"]
        _check(reply.json(), content[reply.headers["Content-Type"]]["schema"], schemas, f"{method} {path}")


_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool,
    "null": type(None),
}  # fmt: skip


def _check(value: Any, schema: Any, schemas: Any, at: str) -> None:
    """As much of JSON Schema as the description uses: types, members, enumerations, alternatives."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        assert any(_is_valid(value, option, schemas) for option in schema["anyOf"]), f"{at}: {value!r}"
        return
    assert value in schema.get("enum", [value]), at
    kind = schema.get("type")
    assert kind is None or isinstance(value, _TYPES[kind]), f"{at}: {value!r} is no {kind}"
    if kind == "object":
        _check_members(value, schema, schemas, at)
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        for number, each in enumerate(value):
            item = prefix[number] if number < len(prefix) else schema["items"]
            _check(each, item, schemas, f"{at}[{number}]")


def _check_members(value: Any, schema: Any, schemas: Any, at: str) -> None:
    assert value.keys() >= set(schema.get("required", ())), at
    members = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for name, each in value.items():
        assert name in members or others, f"{at}: {name} is not described"
        _check(each, members.get(name, others), schemas, f"{at}.{name}")


def _is_valid(value: Any, schema: Any, schemas: Any) -> bool:
    try:
        _check(value, schema, schemas, "")
    except AssertionError:
        return False
    return True
