"""docs/openapi.json is what the API says of itself, and says everything that it may answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker

from scenarios.api import description
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import MEDIA_TYPE
from scenarios.domain.outcomes import Outcome, RunState

COMMITTED = Path(__file__).parents[4] / "docs" / "openapi.json"
WRITE = ("export_openapi_schema", "--api", "scenarios.api.api", "--indent", "2", "--output")
OPEN = {"health", "ready"}
WRITING = {"patch", "revoke", "put", "delete", "start", "stop", "retry", "acknowledge", "pull", "release"}
WRITING |= {"pause", "resume", "approve", "refuse", "import", "test", "withdraw"}
STORES_OR_CHECKS = {
    *("put_scenario", "put_suite", "put_schedule", "put_service", "put_environment", "put_host"),
    *("validate_scenario", "validate_suite"),
}
# Its answer would be kept with the key, and the secret in it.
ANSWERS_A_SECRET = {"create_webhook", "change_secret"}


def operations() -> dict[str, Any]:
    """Each operation by its id, with what it refers to in place."""
    described = json.loads(COMMITTED.read_text())
    found = {}
    for methods in described["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [resolve(described, part) for part in operation["parameters"]]
            operation["responses"] = {
                status: resolve(described, part) for status, part in operation["responses"].items()
            }
            found[operation["operationId"]] = operation
    return found


def resolve(described: dict[str, Any], part: dict[str, Any]) -> Any:
    found: Any = described
    for name in part.get("$ref", "#").split("/")[1:]:
        found = found[name]
    return found if "$ref" in part else part


def list_bodies() -> list[tuple[str, dict[str, Any]]]:
    """Every described body in JSON, of requests and of responses."""
    return [
        (name, body)
        for name, operation in operations().items()
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for media_type, body in part.get("content", {}).items()
        if "json" in media_type and name != "get_report"
    ]


def test_committed_openapi_document_is_current(tmp_path: Path) -> None:
    call_command(*WRITE, str(tmp_path / "openapi.json"))
    hint = f"the API has changed: 'manage.py {' '.join(WRITE)} docs/openapi.json', and CHANGELOG"
    assert COMMITTED.read_text() == (tmp_path / "openapi.json").read_text(), hint


def test_description_is_built_once_for_each_process(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/api/v1/openapi.json")
    monkeypatch.setattr(description, "complete_description", refuse_to_build)
    assert client.get("/api/v1/openapi.json").content == first.content
    assert first.json()["openapi"]


def refuse_to_build(_schema: object) -> None:
    raise AssertionError("the description is built again")


def test_authenticated_operations_declare_their_errors() -> None:
    for name, operation in operations().items():
        refusals = set() if name in OPEN else {"401", "403", "422", "429", "503"}
        assert refusals <= set(operation["responses"]), name
        assert bool(operation["security"]) == (name not in OPEN), name


def test_operations_on_one_item_declare_404() -> None:
    for name, operation in operations().items():
        names_one = any(parameter["in"] == "path" for parameter in operation["parameters"])
        stores_or_checks = name in STORES_OR_CHECKS
        assert ("404" in operation["responses"]) == (names_one and not stores_or_checks), name


def test_writes_take_idempotency_keys_and_errors_are_problems() -> None:
    for name, operation in operations().items():
        keyed = any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
        writes = name.partition("_")[0] in WRITING and name not in ANSWERS_A_SECRET
        assert keyed == writes, name
        for status, answer in operation["responses"].items():
            if status >= "400" and status not in {"414", "503"}:
                assert list(answer["content"]) == [MEDIA_TYPE], (name, status)


def test_generated_clients_get_shared_enums_and_64_bit_ids() -> None:
    schemas = json.loads(COMMITTED.read_text())["components"]["schemas"]
    statuses = {*RunState, *Outcome} - {RunState.FINISHED}
    assert set(schemas["RunStatus"]["enum"]) == statuses
    assert schemas["RunDetails"]["properties"]["status"] == {"$ref": "#/components/schemas/RunStatus"}
    for name in ("RunFault", "WebhookDetails", "ApprovalDetails"):
        assert schemas[name]["properties"]["id"]["format"] == "int64", name
    ids = [
        parameter["schema"]
        for operation in operations().values()
        for parameter in operation["parameters"]
        if parameter["name"] in {"number", "approval_id", "webhook_id"}
    ]
    assert ids
    assert {schema.get("format") for schema in ids} == {"int64"}


def test_every_body_but_those_of_health_has_an_example_that_fits_it() -> None:
    described = json.loads(COMMITTED.read_text())
    for name, body in list_bodies():
        if name not in OPEN:
            schema = {**body["schema"], "components": described["components"]}
            Draft202012Validator(schema, format_checker=FormatChecker()).validate(body["example"])


def test_optional_fields_of_requests_have_no_default_that_makes_typescript_require_them() -> None:
    schemas = json.loads(COMMITTED.read_text())["components"]["schemas"]
    fields = schemas["ScheduleRequest"]["properties"]
    assert fields["grace_minutes"]["description"] == "Default: 15."
    requests = [described for name, described in schemas.items() if name.endswith("Request")]
    assert len(requests) > 8
    assert not [field for each in requests for field in each["properties"].values() if "default" in field]


def test_no_parameter_can_be_null_and_no_operation_has_two_kinds_of_success() -> None:
    for name, operation in operations().items():
        for parameter in operation["parameters"]:
            assert "anyOf" not in parameter["schema"], (name, parameter["name"])
        shapes = {
            json.dumps(part.get("content", {}))
            for code, part in operation["responses"].items()
            if code < "300"
        }
        assert len(shapes) == 1, name


def test_every_tag_is_described() -> None:
    described = json.loads(COMMITTED.read_text())
    used = {tag for operation in operations().values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in described["tags"]}


def test_lists_of_words_that_grow_are_open() -> None:
    schemas = json.loads(COMMITTED.read_text())["components"]["schemas"]
    assert "enum" not in schemas["ProblemCode"]
    assert set(schemas["ProblemCode"]["x-extensible-enum"]) == set(ProblemCode)


@pytest.mark.django_db
def test_docs_need_no_token_and_no_other_host(client: Client) -> None:
    assert client.get("/api/v1/docs").status_code == 200
    assert client.get("/api/v1/openapi.json").json() == json.loads(COMMITTED.read_text())
