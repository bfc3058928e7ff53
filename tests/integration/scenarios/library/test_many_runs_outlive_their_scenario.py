"""A scenario or a person with many runs is deleted in short transactions, and the runs stay."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from scenarios.domain.outcomes import Rollback
from scenarios.library import sync
from scenarios.models import Run, Scenario
from scenarios.runs import detaching
from tests.integration.scenarios.control_room.test_large_lists import bulk_runs
from tests.integration.scenarios.planned_rows import stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, bool]]]:
    """Of each batch, how many runs it changed, and whether a transaction was open around it."""
    monkeypatch.setattr(detaching, "RUNS_AT_ONCE", 2)
    seen: list[tuple[int, bool]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith('UPDATE "scenarios_run"'):
            seen.append((context["cursor"].rowcount, connection.in_atomic_block))
        return result

    with connection.execute_wrapper(note):
        yield seen


def refer(**fields: Any) -> None:
    bulk_runs(5)
    Run.objects.update(scenario_name="break-exchange", **fields)


def check(batches: list[tuple[int, bool]]) -> None:
    assert [count for count, _is_atomic in batches if count] == [2, 2, 1]
    assert not any(is_atomic for count, is_atomic in batches if count)
    assert Run.objects.count() == 5


def test_a_scenario_that_is_selected_in_the_list(
    admin_client: Client, batches: list[tuple[int, bool]]
) -> None:
    refer(scenario=stored())
    batches.clear()
    chosen = {"action": "delete_selected", "_selected_action": [Scenario.objects.get().pk], "post": "yes"}
    admin_client.post("/admin/scenarios/scenario/", chosen)
    assert not Scenario.objects.exists()
    check(batches)


def test_a_scenario_on_its_page(admin_client: Client, batches: list[tuple[int, bool]]) -> None:
    refer(scenario=stored())
    batches.clear()
    page = f"/admin/scenarios/scenario/{Scenario.objects.get().pk}/delete/"
    assert admin_client.get(page).status_code == 200
    assert batches == []
    assert (
        "was deleted successfully" in admin_client.post(page, {"post": "yes"}, follow=True).content.decode()
    )
    check(batches)


def test_a_scenario_by_the_function_of_api_and_command_line(batches: list[tuple[int, bool]]) -> None:
    refer(scenario=stored())
    batches.clear()
    sync.remove_scenario("break-exchange")
    check(batches)
    assert not Scenario.objects.exists()


@pytest.mark.parametrize("way", ["page", "list"])
def test_a_person(admin_client: Client, batches: list[tuple[int, bool]], way: str) -> None:
    ann = User.objects.create_user("ann")
    refer(started_by=ann)
    batches.clear()
    if way == "page":
        admin_client.post(f"/admin/auth/user/{ann.pk}/delete/", {"post": "yes"})
    else:
        chosen = {"action": "delete_selected", "_selected_action": [ann.pk], "post": "yes"}
        admin_client.post("/admin/auth/user/", chosen)
    assert not User.objects.filter(username="ann").exists()
    check(batches)


def test_where_the_scenario_cannot_be_deleted_its_runs_still_belong_to_it(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = stored()
    refer(scenario=scenario)
    answers = iter(["", "a run has begun meanwhile"])
    monkeypatch.setattr(sync, "find_removal_obstacle", lambda _scenario: next(answers))
    with pytest.raises(sync.CannotRemove, match="has begun meanwhile"):
        sync.remove_scenario(scenario.name)
    assert scenario.runs.count() == 5


def test_a_scenario_with_an_open_fault_keeps_its_runs(batches: list[tuple[int, bool]]) -> None:
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    batches.clear()
    name = telling.run.scenario_name
    with pytest.raises(sync.CannotRemove):
        sync.remove_scenario(name)
    assert Run.objects.exclude(scenario=None).count() == 1
