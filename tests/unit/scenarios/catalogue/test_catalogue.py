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


BY_PROXY = [name for name in FOR_ANY_SERVICE if name.startswith("dependency-")]


def find_faults_and_looks(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a phase breaks, and its look at what the fault has touched, of the last phase that has one."""
    _, *phases, _ = DOCUMENTS[name]["spec"]["phases"]
    for phase in reversed(phases):
        looks = [look for look in phase["validations"] if "proxy" in look["probe"]]
        if looks:
            return [action["fault"]["proxy"] for action in phase["actions"]], looks
    return [], []


@pytest.mark.parametrize("name", [name for name in BY_PROXY if name != "dependency-outage-noticed"])
def test_a_fault_that_no_connection_meets_fails_the_run(name: str) -> None:
    (fault,), (look,) = find_faults_and_looks(name)
    assert "refuse" not in fault  # refused connections never reach the proxy
    assert look["probe"] == {"proxy": {"service": "${dependency}"}}
    assert look["expect"] == {"touched": {"at_least": 1}}
    assert "within" in look


def test_an_outage_that_the_health_check_does_not_show_fails_the_run() -> None:
    phases = DOCUMENTS["dependency-outage-noticed"]["spec"]["phases"]
    expected = [
        [look["expect"]["status"] for look in phase["validations"] if "${watched}" in str(look["probe"])]
        for phase in phases
    ]
    assert expected == [[{"below": "${noticed}"}], [{"at_least": "${noticed}"}], [{"below": "${noticed}"}]]
