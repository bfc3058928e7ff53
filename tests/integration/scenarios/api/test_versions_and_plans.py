"""The versions of a scenario, what a run would do, and translated experiments."""

import pytest

from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Run, Scenario
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
CHANGED = DOCUMENT.replace("title:", "title: Changed,", 1)
EXPERIMENT = {
    "title": "Slow exchange",
    "method": [{"type": "action", "name": "wait", "provider": {"type": "process", "path": "sleep"}}],
    "contributions": {},
    "extensions": [],
}


def test_versions_are_numbered_over_pages(ci: Program, stored: Scenario) -> None:
    for document in (CHANGED, DOCUMENT):
        stored_scenarios.save_scenario(documents.read_document(document))
    first = ci.get(f"scenarios/{stored.name}/versions?limit=2").json()
    assert [(item["version"], item["current"]) for item in first["items"]] == [(3, True), (2, False)]
    rest = ci.get(f"scenarios/{stored.name}/versions?limit=2&cursor={first['next_cursor']}").json()
    assert [item["version"] for item in rest["items"]] == [1]
    assert rest["next_cursor"] is None
    assert ci.get(f"scenarios/{stored.name}/versions/2").json()["document"] == CHANGED
    problem = read_problem(ci.get(f"scenarios/{stored.name}/versions/4"), 404)
    assert problem["detail"] == f"Scenario '{stored.name}' has no version 4."
    read_problem(ci.get("scenarios/unknown/versions"), 404)


def test_a_deletion_is_a_version_and_only_one_version_is_stored_now(ci: Program, stored: Scenario) -> None:
    stored.delete()
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    items = ci.get(f"scenarios/{stored.name}/versions").json()["items"]
    assert [(item["change"], item["current"]) for item in items] == [
        ("created", True),
        ("deleted", False),
        ("created", False),
    ]


def test_a_plan_starts_nothing_and_names_what_is_missing(ci: Program) -> None:
    told = ci.post("plan", {"document": DOCUMENT, "variables": {"delay_ms": 700}}).json()
    assert {step["role"] for step in told["steps"]} >= {"do", "undo", "probe"}
    assert any("delay_ms: 700" in step["arguments"] for step in told["steps"])
    assert any("unknown service" in sentence for sentence in told["refusals"])
    assert not Run.objects.exists()
    wrong = read_problem(ci.post("plan", {"document": DOCUMENT, "variables": {"delay_ms": 9000}}), 422)
    assert wrong["code"] == "invalid_variables"


def test_only_those_who_may_store_documents_plan_new_ones(stored: Scenario) -> None:
    runner = program(person("scenarios.run_scenario"), "run")
    assert runner.post("plan", {"document": stored.document}).status_code == 200
    read_problem(runner.post("plan", {"document": CHANGED}), 403)


def test_an_experiment_is_translated(ci: Program) -> None:
    told = ci.post("experiments/translate?name=slow", EXPERIMENT).json()
    assert "name: slow\n" in told["document"]
    assert "'extensions'" in told["left_out"][0]["message"]
    assert told["left_out"][0]["line"] == 1
    assert not Scenario.objects.exists()
    read_problem(ci.post("experiments/translate", "a: [1"), 422)
