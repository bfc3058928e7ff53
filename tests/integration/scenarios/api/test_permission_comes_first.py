"""A user without the permission gets 403, not the errors of the request."""

import re
from typing import Any

import pytest
from django.test import Client

from scenarios.api import api
from scenarios.api.description import list_operations
from scenarios.library import services as registered_services
from scenarios.models import Service
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db

SCHEMA = api.get_openapi_schema()
# Everybody who logs in may see who they are, and their own tokens.
OWN = {"/api/v1/whoami", "/api/v1/tokens", "/api/v1/tokens/{token_id}"}
OPERATIONS = [
    (method.upper(), path)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if operation.get("security") and path not in OWN
]
BODIES: dict[str, Any] = {
    "no JSON": "{",
    "of another shape": {"wrong": True},
    "a list": [],
    "not UTF-8": b"\xff",
}


def address(path: str, filled: str) -> str:
    return re.sub(r"{\w+}", filled, path.removeprefix("/api/v1/"))


@pytest.fixture
def stranger() -> Program:
    """With a token of every scope, whose owner may do nothing."""
    return program(person())


def test_every_operation_is_covered() -> None:
    assert len(OPERATIONS) > 40
    open_to_all = [
        path
        for path, methods in SCHEMA["paths"].items()
        if not any(described["security"] for described in methods.values())
    ]
    assert sorted(open_to_all) == ["/api/v1/health", "/api/v1/ready"]
    assert sum(1 for _ in list_operations(SCHEMA)) == len(OPERATIONS) + 2 + len(OWN)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_403_comes_before_422(stranger: Program, method: str, path: str) -> None:
    for body in BODIES.values():
        read_problem(stranger.ask(method, address(path, "1"), body), 403)
    read_problem(stranger.ask(method, address(path, "no-such-thing"), "{"), 403)
    read_problem(stranger.ask(method, f"{address(path, '1')}?limit=none&wait=-1&format=x", "{"), 403)
    read_problem(stranger.ask(method, address(path, "1"), "{", **{"Idempotency-Key": "not one"}), 403)
    read_problem(stranger.ask(method, address(path, "1"), "{", **{"Last-Event-ID": "x"}), 403)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_401_comes_before_422(client: Client, method: str, path: str) -> None:
    answer = client.generic(method, f"/api/v1/{address(path, '1')}", "{", content_type="application/json")
    read_problem(answer, 401)


def test_permitted_callers_get_the_errors(ci: Program) -> None:
    read_problem(ci.post("faults/1/acknowledge", {}), 422)
    read_problem(ci.post("faults/no-number/acknowledge", {"reason": "gone"}), 404)
    read_problem(ci.post("stop", "{"), 400)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_protected_services_need_the_permission_before_422(method: str) -> None:
    registered_services.register_service("bank", "http://127.0.0.1:9101", is_protected=True)
    verbs = ("add", "change", "delete")
    keeper = program(person(*(f"scenarios.{verb}_service" for verb in verbs)))
    found = read_problem(keeper.ask(method, "services/bank", {"wrong": True}), 403)
    assert "scenarios.protect_service" in found["detail"]
    assert Service.objects.filter(name="bank").exists()


def test_stored_response_needs_the_permission_too() -> None:
    owner = person("scenarios.pull_globalstop", "scenarios.view_run")
    keeper, key = program(owner), {"Idempotency-Key": "k1"}
    assert keeper.post("stop", {"reason": "now"}, **key).status_code == 200
    assert keeper.post("stop", {"reason": "now"}, **key)["Idempotency-Replayed"] == "true"
    owner.user_permissions.clear()
    read_problem(keeper.post("stop", {"reason": "now"}, **key), 403)
