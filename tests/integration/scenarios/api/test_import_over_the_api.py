"""Many documents at once over the API: all, or none."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from scenarios.models import Scenario
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
OTHER = DOCUMENT.replace("exchange-latency", "other", 1)
CHANGED = DOCUMENT + "# a remark\n"


def imported(ci: Program, *documents: str, **more: Any) -> Any:
    return ci.post("import", {"documents": documents, **more})


def changes(answer: Any) -> dict[str, str]:
    return {row["name"]: row["change"] for row in answer.json()["changes"]}


def test_import_reports_each_change(ci: Program) -> None:
    assert changes(imported(ci, DOCUMENT, OTHER)) == {"exchange-latency": "new", "other": "new"}
    assert changes(imported(ci, CHANGED, OTHER)) == {"exchange-latency": "changed", "other": "unchanged"}
    assert changes(imported(ci, CHANGED, prune=True)) == {
        "exchange-latency": "unchanged",
        "other": "removed",
    }
    assert Scenario.objects.get().document == CHANGED
    assert Scenario.objects.get().changed_by == User.objects.get()


def test_one_invalid_document_refuses_all_with_every_place(ci: Program) -> None:
    found = read_problem(imported(ci, DOCUMENT, "kind: Nothing\n", OTHER, OTHER), 422)
    assert not Scenario.objects.exists()
    assert {error["path"].split(".")[2] for error in found["errors"]} == {"1", "3"}
    assert found["errors"][0]["line"] >= 1
    assert found["errors"][-1]["path"] == "body.documents.3.metadata.name"


def test_check_stores_nothing(ci: Program) -> None:
    answer = imported(ci, DOCUMENT, check=True)
    assert (answer.json()["stored"], changes(answer)) == (False, {"exchange-latency": "new"})
    assert not Scenario.objects.exists()


def test_pruning_without_documents_is_refused(ci: Program, stored: Scenario) -> None:
    read_problem(imported(ci, prune=True), 422)
    assert Scenario.objects.exists()


def test_running_scenario_is_not_pruned_and_nothing_is_stored(ci: Program, stored: Scenario) -> None:
    ci.post(f"scenarios/{stored.name}/runs", {})
    read_problem(imported(ci, OTHER, prune=True), 409)
    assert [scenario.name for scenario in Scenario.objects.all()] == [stored.name]


def test_pruning_needs_the_permission_to_delete(db: None) -> None:
    writer = program(person("scenarios.add_scenario", "scenarios.change_scenario"))
    assert imported(writer, DOCUMENT).status_code == 200
    assert "delete_scenario" in read_problem(imported(writer, DOCUMENT, prune=True), 403)["detail"]
    assert read_problem(imported(program(person(name="bob")), DOCUMENT), 403)


def test_only_new_names_replace_nothing(ci: Program) -> None:
    imported(ci, DOCUMENT)
    for more in ({}, {"check": True}):
        read_problem(imported(ci, CHANGED, OTHER, only_new=["exchange-latency"], **more), 409)
    assert [row.document for row in Scenario.objects.all()] == [DOCUMENT]
    same = imported(ci, DOCUMENT, OTHER, only_new=["exchange-latency", "other"])
    assert changes(same) == {"exchange-latency": "unchanged", "other": "new"}


def test_check_with_view_permission_returns_stored_documents(ci: Program) -> None:
    imported(ci, DOCUMENT, OTHER)
    reader = program(person("scenarios.view_scenario", name="reader"), "read")
    answer = imported(reader, CHANGED, check=True, prune=True)
    assert answer.status_code == 200
    assert {row["name"]: row["before"] for row in answer.json()["changes"]} == {
        "exchange-latency": DOCUMENT,
        "other": OTHER,
    }
    assert Scenario.objects.count() == 2
    read_problem(imported(reader, CHANGED), 403)
    assert Scenario.objects.get(name="exchange-latency").document == DOCUMENT
