"""Each request of the client is one that docs/openapi.json describes; both clients have the same methods."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from coordinator_client.asynchronous.client import AsyncClient
from coordinator_client.errors import CoordinatorError
from coordinator_client.exchanges import Call, Response
from coordinator_client.synchronous.client import Client
from coordinator_client.synchronous.transport import Transport
from coordinator_client.write_synchronous import list_files

PROJECT = Path(__file__).resolve().parents[3]
DESCRIPTION = json.loads((PROJECT / "docs" / "openapi.json").read_text())
RUN = "8f14e45f-ceea-467f-a9d6-0f1e2d3c4b5a"
VALUES: dict[str, Any] = {
    "approval_id": 1,
    "cron": "0 3 * * *",
    "document": "kind: Scenario",
    "documents": ["kind: Scenario"],
    "base_url": "http://127.0.0.1:9101",
    "experiment": b"{}",
    "fault_id": 1,
    "name": "a-name",
    "reason": "because",
    "run_id": RUN,
    "scenario": "a-name",
    "token_id": 1,
    "url": "https://hooks.example.com/runs",
    "version": 1,
    "webhook_id": 1,
}
STREAMS = {"follow", "watch", "wait"}
GROUPS = (
    *("scenarios", "runs", "events", "suites", "faults", "services", "hosts", "schedules", "approvals"),
    *("webhooks", "tokens"),
)


class RecordingTransport(Transport):
    """Keeps what would be sent, and answers nothing."""

    calls: list[Call]

    def _send(self, call: Call) -> Response:
        self.calls = [*getattr(self, "calls", []), call]
        raise CoordinatorError("not sent")


def list_methods(client: object) -> list[tuple[str, str]]:
    own = [
        ("", name)
        for name in ("whoami", "get_version", "get_global_stop", "pull_global_stop", "release_global_stop")
    ]
    of_groups = [
        (group, name)
        for group in GROUPS
        for name in vars(type(getattr(client, group)))
        if not name.startswith("_") and name not in STREAMS
    ]
    return [*own, *of_groups]


def find_operation(call: Call) -> Any:
    path = f"/api/v1/{call.path}"
    for template, methods in DESCRIPTION["paths"].items():
        pattern = re.sub(r"{\w+}", "[^/]+", template)
        if re.fullmatch(pattern, path) and call.method.lower() in methods:
            return methods[call.method.lower()]
    raise AssertionError(f"{call.method} {path} is not described")


def resolve(described: Any) -> Any:
    """The description itself, where a reference to it stands."""
    found = described
    if "$ref" in described:
        found = DESCRIPTION
        for word in described["$ref"].removeprefix("#/").split("/"):
            found = found[word]
    return found


def record_call(group: str, name: str) -> Call:
    with Client("http://coordinator.test", transport=RecordingTransport) as client:
        method = getattr(getattr(client, group) if group else client, name)
        needed = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        values = dict(VALUES)
        if name == "validate":
            values["document"] = b"kind: Scenario"
        with pytest.raises(CoordinatorError, match="not sent"):
            [*method(*(values[word] for word in needed))]  # an iterator asks for its first page only now
        (call,) = client._transport.calls  # type: ignore[attr-defined]
    return call  # type: ignore[no-any-return]


@pytest.mark.parametrize(("group", "name"), list_methods(Client("http://coordinator.test")))
def test_request_is_described(group: str, name: str) -> None:
    call = record_call(group, name)
    operation = find_operation(call)
    known = {resolve(parameter)["name"] for parameter in operation["parameters"]}
    assert set(call.parameters) <= known
    assert ("Idempotency-Key" in call.headers) == ("Idempotency-Key" in known)
    if call.headers.get("Content-Type") == "application/json":
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(json.loads(call.content), {**schema, "components": DESCRIPTION["components"]})


def test_both_clients_have_the_same_methods() -> None:
    assert list_methods(AsyncClient("http://coordinator.test")) == list_methods(
        Client("http://coordinator.test")
    )


def test_synchronous_client_is_made_from_the_asynchronous_one() -> None:
    ruff = [str(Path(sys.executable).parent / "ruff"), "format", "--quiet", "--config", "pyproject.toml", "-"]
    for file, text in list_files().items():
        formatted = subprocess.run(ruff, cwd=PROJECT, input=text, capture_output=True, text=True, check=True)
        hint = "run 'python3 coordinator_client/write_synchronous.py'"
        assert file.read_text() == formatted.stdout, f"{file.name}: {hint}"
