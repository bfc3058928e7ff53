"""Lists: pages that neither miss nor repeat a row, and filters."""

import uuid
from typing import Any

import pytest
from django.utils import timezone

from scenarios import services
from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.models import Run, Scenario, Service
from tests.integration.scenarios.api.conftest import Program, problem_of
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db


def rows_of_all_pages(ci: Program, path: str, limit: int) -> list[Any]:
    rows: list[Any] = []
    cursor = ""
    while True:
        separator = "&" if "?" in path else "?"
        page = ci.get(f"{path}{separator}limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["items"]) <= limit
        rows += page["items"]
        if page["next_cursor"] is None:
            return rows
        cursor = page["next_cursor"]


def finished_runs(count: int, rollback: Rollback = Rollback.CLEAN) -> None:
    now = timezone.now()
    Run.objects.bulk_create(
        Run(
            id=uuid.uuid4(),
            scenario_name="x",
            document="",
            state=RunState.FINISHED,
            outcome=Outcome.PASSED,
            rollback=rollback,
            started_from="api",
            queued_at=now,
            finished_at=now,
        )
        for _ in range(count)
    )


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_pages_neither_miss_nor_repeat_a_run_even_of_one_moment(ci: Program, limit: int) -> None:
    finished_runs(7)
    ids = [row["id"] for row in rows_of_all_pages(ci, "runs", limit)]
    assert ids == [str(run.pk) for run in Run.objects.order_by("-queued_at", "-id")]


def test_a_run_that_comes_meanwhile_does_not_shift_the_next_page(ci: Program) -> None:
    finished_runs(4)
    first = ci.get("runs?limit=2").json()
    finished_runs(3)
    second = ci.get(f"runs?limit=2&cursor={first['next_cursor']}").json()
    seen = {row["id"] for row in first["items"]}
    assert not seen & {row["id"] for row in second["items"]}
    assert len(second["items"]) == 2


def test_a_filter_holds_on_every_page(ci: Program) -> None:
    finished_runs(3, rollback=Rollback.DIRTY)
    finished_runs(3)
    rows = rows_of_all_pages(ci, "runs?rollback=dirty", 2)
    assert [row["rollback"] for row in rows] == ["dirty"] * 3


@pytest.mark.parametrize(
    ("query", "found"),
    [("name=latency", 1), ("tag=laten", 0), ("text=EXCHANGE", 1), ("text=nothing", 0), ("", 1)],
)
def test_scenarios_are_found_by_name_tag_and_text(
    ci: Program, stored: Scenario, query: str, found: int
) -> None:
    assert len(ci.get(f"scenarios?{query}").json()["items"]) == found


def test_a_scenario_is_found_by_one_whole_tag(ci: Program, stored: Scenario) -> None:
    Scenario.objects.update(tags=["nightly", "büro"])
    assert len(ci.get("scenarios?tag=b%C3%BCro").json()["items"]) == 1
    assert ci.get("scenarios?tag=night").json()["items"] == []


def test_a_scenario_is_stored_read_validated_and_deleted(ci: Program) -> None:
    told = ci.ask("PUT", "scenarios/exchange-latency", DOCUMENT).json()
    assert told == ci.get("scenarios/exchange-latency").json()
    assert told["document"] == DOCUMENT
    assert "document" not in ci.get("scenarios").json()["items"][0]
    assert ci.post("scenarios/exchange-latency/validate", DOCUMENT).json()["name"] == "exchange-latency"
    assert ci.ask("DELETE", "scenarios/exchange-latency").status_code == 204
    problem_of(ci.get("scenarios/exchange-latency"), 404)


def test_a_scenario_is_kept_while_a_run_of_it_goes_on(ci: Program, stored: Scenario) -> None:
    services.start_run(DOCUMENT, {}, origin="cli", scenario=stored)
    assert "is queued" in problem_of(ci.ask("DELETE", f"scenarios/{stored.name}"), 409)["detail"]


def test_a_document_is_stored_under_no_other_name(ci: Program) -> None:
    assert "'other'" in problem_of(ci.ask("PUT", "scenarios/other", DOCUMENT), 422)["detail"]


def test_services_tell_who_holds_and_who_touches_them(ci: Program, stored: Scenario) -> None:
    Service.objects.create(name="exchange", base_url="http://127.0.0.1:9")
    told = ci.get("services?name=exch").json()["items"][0]
    assert (told["held_by"], told["touched_by"]) == (None, [stored.name])
