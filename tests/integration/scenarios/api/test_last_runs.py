"""How each scenario ran last: in the API and on the command line, with the same fields and the same run."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.sync import remove_scenario
from scenarios.models import Run, Scenario
from tests.command_line import CommandLine
from tests.integration.scenarios.api.conftest import Program
from tests.integration.scenarios.story_rows import DOCUMENT, Telling

pytestmark = pytest.mark.django_db
NAME = "exchange-latency"
OTHER = DOCUMENT.replace(f"name: {NAME}", "name: other", 1)


def store(document: str) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(document))


def add_runs(scenario: Scenario, count: int, **fields: Any) -> list[Run]:
    """Ended runs, the newest last."""
    now = timezone.now()
    ended = {"state": RunState.FINISHED, "outcome": Outcome.PASSED, "rollback": Rollback.CLEAN, **fields}
    return Run.objects.bulk_create(
        Run(
            scenario=scenario,
            scenario_name=scenario.name,
            document=DOCUMENT,
            started_from="api",
            queued_at=now + timedelta(seconds=number),
            finished_at=now + timedelta(seconds=number),
            **ended,
        )
        for number in range(count)
    )


def test_a_scenario_shows_its_newest_run_or_null(ci: Program) -> None:
    store(OTHER)
    telling = Telling()
    of_run = ("id", "status", "rollback", "created_at", "started_at", "finished_at", "url")
    for _ in range(2):
        run = ci.get(f"runs/{telling.run.pk}").json()
        last = {name: run[name] for name in of_run}
        assert ci.get(f"scenarios/{NAME}").json()["last_run"] == last
        listed = {row["name"]: row["last_run"] for row in ci.get("scenarios").json()["items"]}
        assert listed == {NAME: last, "other": None}
        if run["status"] == "running":
            telling.finish()
    assert last["status"] == "passed"
    assert ci.ask("PUT", f"scenarios/{NAME}", DOCUMENT).json()["last_run"] == last


def test_the_etag_stays_when_a_run_ends(ci: Program) -> None:
    telling = Telling()
    before = ci.get(f"scenarios/{NAME}")["ETag"]
    telling.finish()
    assert ci.get(f"scenarios/{NAME}")["ETag"] == before
    answer = ci.ask("PUT", f"scenarios/{NAME}", DOCUMENT + "# a note\n", **{"If-Match": before})
    assert answer.status_code == 200
    assert answer.json()["last_run"]["status"] == "passed"


def test_a_page_takes_as_many_queries_however_many_scenarios_it_has(ci: Program) -> None:
    counts = []
    for number in range(4):
        add_runs(store(DOCUMENT.replace(f"name: {NAME}", f"name: x-{number}", 1)), 2)
        with CaptureQueriesContext(connection) as queries:
            assert len(ci.get("scenarios").json()["items"]) == number + 1
        counts.append(len(queries))
    assert counts[1] == counts[-1]  # the first request also notes that the token is used


def test_the_command_line_shows_the_same_run_on_this_machine_and_over_the_api(either: CommandLine) -> None:
    store(OTHER)
    first = Telling().finish()
    add_runs(Scenario.objects.get(name="other"), 250, outcome=Outcome.FAILED)
    # Of a file with the same name, which is not stored.
    Run.objects.bulk_create([Run(scenario_name=NAME, document="", started_from="cli")])
    for _ in range(2):
        listed = either("list", "--json").json["items"]
        assert [row["last_run"] and row["last_run"]["status"] for row in listed] == ["passed", "failed"]
        assert listed[0]["last_run"]["id"] == str(first.pk)
        assert either("show", NAME, "--json").json["last_run"] == listed[0]["last_run"]
        assert [line.split("\t")[2] for line in either("list").out.splitlines()] == ["passed", "failed"]
        # A scenario that is imported again gets its runs back.
        remove_scenario(NAME)
        store(DOCUMENT)
    remove_scenario(NAME)
    store(DOCUMENT + "# it was not run like this\n")
    assert either("list", "--json").json["items"][0]["last_run"]["id"] == str(first.pk)
    Scenario.history.filter(name=NAME).delete()
    remove_scenario(NAME)
    Scenario.history.filter(name=NAME).delete()
    store(DOCUMENT)
    assert either("list", "--json").json["items"][0]["last_run"] is None
