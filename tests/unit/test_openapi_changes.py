"""Changes of the API that break clients are found, and those that do not are not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.openapi_changes import find_breaking_changes

Document = dict[str, Any]
RUN = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "status": {"$ref": "#/components/schemas/Status"},
        "reason": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "code": {"type": "string", "x-extensible-enum": ["a", "b"]},
    },
    "required": ["id", "status", "reason"],
}
REQUEST = {
    "type": "object",
    "properties": {"priority": {"type": "integer", "maximum": 100}, "name": {"type": "string"}},
    "required": ["name"],
}
DOCUMENT: Document = {
    "paths": {
        "/runs": {
            "get": {
                "parameters": [
                    {"name": "status", "in": "query", "schema": {"$ref": "#/components/schemas/Status"}}
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}}}
                },
                "security": [],
            },
            "post": {
                "parameters": [],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}
                },
                "responses": {"201": {"description": "Created"}},
                "security": [{"TokenAuth": []}],
            },
        }
    },
    "components": {
        "schemas": {
            "Run": RUN,
            "Request": REQUEST,
            "Status": {"type": "string", "enum": ["passed", "failed"]},
        }
    },
}


def change_parts(document: Document) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    return {
        "run": schemas["Run"]["properties"],
        "run_required": schemas["Run"]["required"],
        "request": schemas["Request"]["properties"],
        "request_required": schemas["Request"]["required"],
        "words": schemas["Status"]["enum"],
        "codes": schemas["Run"]["properties"]["code"]["x-extensible-enum"],
        "runs": document["paths"]["/runs"],
    }


BREAKING: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an operation is removed": (lambda of: of["runs"].pop("get"), "`GET /runs`: removed"),
    "a filter is removed": (
        lambda of: of["runs"]["get"]["parameters"].clear(),
        "`GET /runs.status`: removed",
    ),
    "a new filter is required": (
        lambda of: of["runs"]["get"]["parameters"].append(
            {"name": "by", "in": "query", "required": True, "schema": {"type": "string"}}
        ),
        "`GET /runs.by`: required now",
    ),
    "a token is needed": (
        lambda of: of["runs"]["get"].update(security=[{"TokenAuth": []}]),
        "`GET /runs`: needs a token now",
    ),
    "a body is required": (
        lambda of: of["runs"]["post"]["requestBody"].update(required=True),
        "`POST /runs`: a body is required now",
    ),
    "a status is gone": (
        lambda of: of["runs"]["post"].update(responses={"202": {}}),
        "`POST /runs`: no response 201 any more",
    ),
    "a field of a response is removed": (lambda of: of["run"].pop("reason"), "`Run.reason`: removed"),
    "a field of a response may be missing": (
        lambda of: of["run_required"].remove("reason"),
        "`Run.reason`: may be missing now",
    ),
    "a field of a response may be null": (
        lambda of: of["run"].update(id={"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]}),
        "`Run.id`: may be null now",
    ),
    "a format differs": (
        lambda of: of["run"].update(id={"type": "string"}),
        "`Run.id`: has the format None instead of 'uuid'",
    ),
    "a closed list of words grows": (lambda of: of["words"].append("lost"), "`Status`: may be lost now"),
    "a list of words shrinks": (lambda of: of["words"].remove("failed"), "`Status`: has no failed any more"),
    "a word of an open list is gone": (lambda of: of["codes"].remove("a"), "`Run.code`: has no a any more"),
    "a field of a request is removed": (
        lambda of: of["request"].pop("priority"),
        "`Request.priority`: removed",
    ),
    "a field of a request is required": (
        lambda of: of["request_required"].append("priority"),
        "`Request.priority`: required now",
    ),
    "a field of a request takes less": (
        lambda of: of["request"].update(priority={"type": "integer", "maximum": 10}),
        "`Request.priority`: maximum is 10 now",
    ),
    "a field of a request has another type": (
        lambda of: of["request"].update(priority={"type": "string"}),
        "`Request.priority`: does not take integer any more",
    ),
}
HARMLESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field is added to a response": lambda of: of["run"].update(load={"type": "number"}),
    "an open list of words grows": lambda of: of["codes"].append("c"),
    "a field is added to a request": lambda of: of["request"].update(wait={"type": "boolean"}),
    "a request takes more": lambda of: of["request"].update(priority={"type": "integer", "maximum": 1000}),
    "a request takes null, too": lambda of: of["request"].update(
        name={"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "a field is never null any more": lambda of: of["run"].update(reason={"type": "string"}),
    "a filter is added": lambda of: of["runs"]["get"]["parameters"].append(
        {"name": "by", "in": "query", "schema": {"type": "string"}}
    ),
    "an operation is added": lambda of: of["runs"].update(delete={"parameters": [], "responses": {}}),
}


def find_changes(change: Callable[[dict[str, Any]], object]) -> list[str]:
    changed = copy.deepcopy(DOCUMENT)
    change(change_parts(changed))
    return list(map(str, find_breaking_changes(DOCUMENT, changed)))


@pytest.mark.parametrize("name", BREAKING)
def test_changes_that_break_clients_are_found_with_their_place(name: str) -> None:
    change, words = BREAKING[name]
    assert words in find_changes(change)


@pytest.mark.parametrize("name", HARMLESS)
def test_additions_break_no_client(name: str) -> None:
    assert find_changes(HARMLESS[name]) == []


def test_a_description_does_not_break_itself() -> None:
    assert find_breaking_changes(DOCUMENT, copy.deepcopy(DOCUMENT)) == []


def test_another_name_of_a_parameter_in_a_path_breaks_nobody() -> None:
    def describe(name: str, limit: int) -> Document:
        parameter = {"name": name, "in": "path", "schema": {"type": "integer", "maximum": limit}}
        operation = {"parameters": [parameter], "responses": {}, "security": []}
        return {"paths": {f"/runs/{{{name}}}": {"get": operation}}, "components": {}}

    assert find_breaking_changes(describe("run_id", 9), describe("number", 9)) == []
    (narrowed,) = find_breaking_changes(describe("run_id", 9), describe("number", 8))
    assert narrowed.words == "maximum is 8 now"
