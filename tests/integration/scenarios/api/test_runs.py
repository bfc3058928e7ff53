"""Runs over the API: started, found, stopped, reported."""

import pytest
from pytest_django.fixtures import Settings

from scenarios.domain.looks import Look
from scenarios.domain.outcomes import Rollback
from scenarios.models import LookChunk, Run, Scenario
from scenarios.published.looks import encode_looks
from scenarios.reports import FORMATS, render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from tests.integration.scenarios.api.conftest import Program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT, Telling

pytestmark = pytest.mark.django_db


def test_started_run_has_its_variables_and_location(
    ci: Program, stored: Scenario, settings: Settings
) -> None:
    answer = ci.post(f"scenarios/{stored.name}/runs", {"variables": {"delay_ms": 700}})
    assert answer.status_code == 201
    told = answer.json()
    assert answer["Location"] == f"/api/v1/runs/{told['id']}"
    assert ci.get(f"runs/{told['id']}").json() == told
    assert (told["scenario"], told["status"], told["rollback"]) == (stored.name, "queued", None)
    assert (told["variables"], told["created_by"], told["origin"]) == ({"delay_ms": 700}, "admin", "api")
    assert told["title"] == stored.title
    assert told["url"] == f"{settings.PUBLIC_URL}/admin/scenarios/run/{told['id']}/change/"


def test_invalid_variables_name_their_place(ci: Program, stored: Scenario) -> None:
    found = read_problem(ci.post(f"scenarios/{stored.name}/runs", {"variables": {"delay_ms": 9000}}), 422)
    assert found["errors"][0]["path"] == "body.variables.delay_ms"
    assert "at most" in found["errors"][0]["message"]
    assert not Run.objects.exists()


def test_unstored_document_can_be_run(ci: Program) -> None:
    told = ci.post("runs", {"document": DOCUMENT}).json()
    assert (told["scenario"], told["title"]) == ("exchange-latency", "exchange-latency")
    assert not Scenario.objects.exists()


def test_run_that_would_wait_is_refused_with_wait_false(ci: Program, stored: Scenario) -> None:
    global_stop.pull_global_stop(by="ada", reason="an incident")
    found = read_problem(ci.post(f"scenarios/{stored.name}/runs", {"wait": False}), 409)
    assert "an incident" in found["detail"]


def test_ended_run_has_its_measurements(ci: Program) -> None:
    telling = Telling()
    telling.begin()
    run = telling.finish(Rollback.DIRTY)
    told = ci.get(f"runs/{run.pk}").json()
    assert (told["status"], told["rollback"], told["time_to_detect"]) == ("passed", "dirty", 0.8)
    assert told["started_at"]
    assert told["finished_at"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("scenario=exchange-latency", True),
        ("scenario=other", False),
        ("status=queued", True),
        ("status=passed", False),
        ("status=finished", False),
        ("rollback=dirty", False),
        ("by=ada", False),
        ("since=2020-01-01T00:00:00Z", True),
        ("until=2020-01-01T00:00:00%2B02:00", False),
    ],
)
def test_runs_are_filtered(ci: Program, stored: Scenario, query: str, found: bool) -> None:
    run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored)
    assert len(ci.get(f"runs?{query}").json()["items"]) == found


def test_runs_of_a_deleted_scenario_are_found_by_the_name_that_they_show(
    ci: Program, stored: Scenario
) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored)
    run_commands.request_stop(run, by="ada")
    stored.delete()
    assert [item["id"] for item in ci.get("runs?scenario=exchange-latency").json()["items"]] == [str(run.pk)]


def test_run_is_found_by_the_beginning_of_its_id(ci: Program) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    for length in (1, 8, 11, 36):
        assert ci.get(f"runs?id={str(run.pk)[:length]}").json()["items"][0]["id"] == str(run.pk)
    other = "0" if str(run.pk)[0] != "0" else "1"
    assert ci.get(f"runs?id={other}").json()["items"] == []


def test_queued_run_is_stopped_at_once(ci: Program) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert ci.post(f"runs/{run.pk}/stop").json() == {"run": str(run.pk), "stopping": True}
    assert ci.post(f"runs/{run.pk}/stop").json()["stopping"] is False
    assert ci.get(f"runs/{run.pk}").json()["status"] == "aborted"


@pytest.mark.parametrize("name", FORMATS)
def test_report_has_the_same_bytes_as_elsewhere(ci: Program, name: str) -> None:
    telling = Telling()
    telling.begin()
    run = telling.finish()
    answer = ci.get(f"runs/{run.pk}/report?format={name}")
    assert answer.content == render_report(run, name)
    assert answer["Content-Type"].startswith(FORMATS[name].media_type)


def test_looks_are_listed_by_validation(ci: Program) -> None:
    run = Telling().run
    content = encode_looks([Look(1_780_000_000.25, True, 0.5, 3.0), Look(1_780_000_001.25, False, 0.5)])
    for series, name in enumerate(("orders are accepted", "orders are quick")):
        LookChunk.objects.create(
            run=run,
            attempt=1,
            series=series,
            number=0,
            phase="chaos",
            validation=name,
            count=2,
            content=content,
        )
    first, second = ci.get(f"runs/{run.pk}/looks").json()["items"]
    assert (first["name"], second["name"]) == ("orders are accepted", "orders are quick")
    assert second["looks"] == [
        {"at": "2026-05-28T20:26:40.250Z", "holds": True, "elapsed": 0.5, "value": 3.0},
        {"at": "2026-05-28T20:26:41.250Z", "holds": False, "elapsed": 0.5, "value": None},
    ]
    assert ci.get(f"runs/{run.pk}/looks?phase=chaos&validation=orders%20are%20quick").json()["items"] == [
        second
    ]
    assert ci.get(f"runs/{run.pk}/looks?phase=another").json()["items"] == []
