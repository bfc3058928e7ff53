"""docs/openapi.json is what the API says of itself, and says everything that it may answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from scenarios.api.problems import MEDIA_TYPE
from scenarios.domain.outcomes import Outcome, RunState

COMMITTED = Path(__file__).parents[4] / "docs" / "openapi.json"
WRITE = ("export_openapi_schema", "--api", "scenarios.api.api", "--indent", "2", "--output")
OPEN = {"health", "ready"}
WRITING = {"revoke", "put", "delete", "start", "stop", "retry", "acknowledge", "pull", "release"}
WRITING |= {"pause", "resume", "approve", "refuse", "import", "test"}
STORES_OR_CHECKS = {
    *("put_scenario", "put_suite", "put_schedule", "put_service", "put_host"),
    *("validate_scenario", "validate_suite"),
}
# Its answer would be kept with the key, and the secret in it.
ANSWERS_A_SECRET = {"create_webhook", "change_secret"}


def operations() -> dict[str, Any]:
    paths = json.loads(COMMITTED.read_text())["paths"]
    return {
        operation["operationId"]: operation for methods in paths.values() for operation in methods.values()
    }


def test_committed_openapi_document_is_current(tmp_path: Path) -> None:
    call_command(*WRITE, str(tmp_path / "openapi.json"))
    hint = f"the API has changed: 'manage.py {' '.join(WRITE)} docs/openapi.json', and CHANGELOG"
    assert COMMITTED.read_text() == (tmp_path / "openapi.json").read_text(), hint


def test_authenticated_operations_declare_their_errors() -> None:
    for name, operation in operations().items():
        refusals = set() if name in OPEN else {"401", "403", "422", "429", "503"}
        assert refusals <= set(operation["responses"]), name
        assert ("security" in operation) == (name not in OPEN), name


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
        if parameter["name"] in {"fault_id", "approval_id", "webhook_id"}
    ]
    assert ids
    assert {schema.get("format") for schema in ids} == {"int64"}


@pytest.mark.django_db
def test_docs_need_no_token_and_no_other_host(client: Client) -> None:
    assert client.get("/api/v1/docs").status_code == 200
    assert client.get("/api/v1/openapi.json").json() == json.loads(COMMITTED.read_text())
