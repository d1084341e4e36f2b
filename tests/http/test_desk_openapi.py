"""/openapi.json knows the resources of the assignment engine, all of them and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.http.assignment import assignment_routes
from router.http.openapi import document
from router.http.socket import Sockets

if TYPE_CHECKING:
    from tests.http_desk import Floor
    from tests.http_server import Running


def test_every_route_is_described(server: Running) -> None:
    described = document()["paths"]
    routes = assignment_routes(server.app, Sockets())
    for path, methods in routes.items():
        name = path.replace("{}", "{id}")
        assert {method.lower() for method in methods} == described[name].keys(), path


def test_what_is_described_is_answered(floor: Floor) -> None:
    """None of it is unknown to the server, nor its methods."""
    for path, methods in document()["paths"].items():
        for method in methods:
            if path.startswith(("/v1/tasks", "/v1/offers", "/v1/resources", "/v1/queues", "/v1/policies", "/v1/stats")):
                body: dict[str, str] | None = None if method == "get" else {}
                reply = floor.ask(method.upper(), path.replace("{id}", "nobody"), body)
                assert reply.status in {200, 400, 404, 409}, (method, path, reply.body)
                assert "no such resource;" not in reply.body.decode()


def test_an_answer_has_the_fields_of_its_schema(floor: Floor) -> None:
    schemas = document()["components"]["schemas"]
    ana = floor.agent("ana")
    task, offer = floor.offered()
    for name, found in (
        ("TaskView", task),
        ("ResourceView", floor.do("GET", f"/v1/resources/{ana}")),
        ("QueueView", floor.do("GET", f"/v1/queues/{floor.line}")),
        ("Settled", floor.post(f"/v1/offers/{offer}/accept")),
        ("Work", floor.do("GET", f"/v1/resources/{ana}/work")),
        ("Explanation", floor.do("GET", f"/v1/tasks/{task['id']}/explain")),
    ):
        assert found.keys() == schemas[name]["properties"].keys(), name
        assert set(schemas[name].get("required", ())) <= found.keys()
