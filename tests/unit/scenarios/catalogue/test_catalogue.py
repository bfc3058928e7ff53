"""The shipped scenarios: each explains itself, and asks nobody to write YAML."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from scenarios.drivers import documents

CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
DOCUMENTS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(CATALOGUE.glob("*.yaml"))
}
# The others break the demo services by their chaos endpoints.
FOR_ANY_SERVICE = sorted(
    name
    for name, document in DOCUMENTS.items()
    if any("fault" in action for phase in document["spec"]["phases"] for action in phase.get("actions", []))
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_valid_and_named_as_its_file(name: str) -> None:
    documents.read_document((CATALOGUE / f"{name}.yaml").read_text())
    assert DOCUMENTS[name]["metadata"]["name"] == name


def test_there_are_scenarios_for_services_without_chaos_endpoints() -> None:
    assert len(FOR_ANY_SERVICE) >= 15


@pytest.mark.parametrize("name", FOR_ANY_SERVICE)
def test_a_scenario_for_any_service_explains_itself_and_each_variable_and_needs_none(name: str) -> None:
    metadata, spec = DOCUMENTS[name]["metadata"], DOCUMENTS[name]["spec"]
    assert all(metadata[word] for word in ("title", "description", "tags"))
    assert {"service", "path", "max_status", "limit", "within", "recovery"} <= spec["variables"].keys()
    for variable in spec["variables"].values():
        assert {"default", "description"} <= variable.keys()


@pytest.mark.parametrize("name", FOR_ANY_SERVICE)
def test_a_page_that_does_not_exist_is_no_answer(name: str) -> None:
    highest = DOCUMENTS[name]["spec"]["variables"]["max_status"]["default"]
    assert highest < HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("name", FOR_ANY_SERVICE)
def test_a_scenario_for_any_service_looks_before_meanwhile_and_after(name: str) -> None:
    first, *faults, last = DOCUMENTS[name]["spec"]["phases"]
    assert "actions" not in first
    assert first["validations"]
    for phase in faults:
        assert phase["validations"]
        assert phase["on_failure"] == "continue"
    assert "actions" not in last
    assert all({"within", "for"} <= validation.keys() for validation in last["validations"])


@pytest.mark.parametrize("name", FOR_ANY_SERVICE)
def test_every_variable_of_a_scenario_is_used(name: str) -> None:
    text = (CATALOGUE / f"{name}.yaml").read_text()
    unused = [name for name in DOCUMENTS[name]["spec"]["variables"] if f"${{{name}}}" not in text]
    assert unused == []


# Connections that are refused because nothing listens never reach the proxy.
COUNTED = sorted(
    name
    for name in FOR_ANY_SERVICE
    if name.startswith("dependency-") and "refuse: true" not in (CATALOGUE / f"{name}.yaml").read_text()
)


@pytest.mark.parametrize("name", COUNTED)
def test_a_fault_that_no_connection_meets_fails_the_run(name: str) -> None:
    _, fault, _ = DOCUMENTS[name]["spec"]["phases"]
    (look,) = [validation for validation in fault["validations"] if "proxy" in validation["probe"]]
    assert look["probe"] == {"proxy": {"service": "${dependency}"}}
    assert look["expect"] == {"touched": {"at_least": 1}}
    assert "within" in look
