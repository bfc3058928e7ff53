"""A run has the same fields, by name and by value, wherever a program reads about it."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from coordinator_client.parsing import parse
from coordinator_client.records import Fault
from scenarios.domain.outcomes import Rollback
from scenarios.models import Delivery, Run
from scenarios.published.records import EventRecord, FaultRecord, RunRecord
from scenarios.reports import render_report
from tests.command_line import CommandLine
from tests.integration.scenarios.api.conftest import Program, program
from tests.integration.scenarios.runs.late_faults import LateFault
from tests.integration.scenarios.runs.outside_rows import a_webhook
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

# Variables may be long, and messages stay short.
NOT_IN_MESSAGES = {"variables"}
RUN_FIELDS = set(RunRecord.__dataclass_fields__)
FAULT_FIELDS = set(FaultRecord.__dataclass_fields__)


@pytest.fixture
def ci() -> Program:
    return program(User.objects.create_superuser("admin"))


@pytest.fixture
def run() -> Run:
    """One that has ended and left a fault behind, of which a webhook was told."""
    a_webhook()
    telling = Telling()
    telling.begin()
    return telling.finish(Rollback.DIRTY)


def sent(message: str) -> Any:
    return json.loads(Delivery.objects.get(message=message).payload)["data"]


def only(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
    assert names <= fields.keys(), f"missing: {sorted(names - fields.keys())}"
    return {name: fields[name] for name in names}


def test_the_four_outputs_of_one_run_agree(ci: Program, scenario: CommandLine, run: Run) -> None:
    shared = only(ci.get(f"runs/{run.pk}").json(), RUN_FIELDS)
    assert (shared["status"], shared["rollback"], shared["origin"]) == ("passed", "dirty", "cli")
    assert only(json.loads(render_report(run, "json")), RUN_FIELDS) == shared
    assert only(scenario("runs", "--json").json["items"][0], RUN_FIELDS) == shared
    assert only(ci.get("runs").json()["items"][0], RUN_FIELDS) == shared
    in_messages = only(shared, RUN_FIELDS - NOT_IN_MESSAGES)
    assert only(sent("run.finished")["run"], RUN_FIELDS - NOT_IN_MESSAGES) == in_messages


def test_the_outputs_of_an_unverified_rollback_agree(
    ci: Program, scenario: CommandLine, admin_client: Client
) -> None:
    a_webhook()
    late = LateFault()
    late.undone(0.0)
    run = late.finish()
    shared = only(ci.get(f"runs/{run.pk}").json(), RUN_FIELDS)
    assert (shared["status"], shared["rollback"]) == ("aborted", "unverified")
    assert only(json.loads(render_report(run, "json")), RUN_FIELDS) == shared
    assert only(scenario("runs", "--json").json["items"][0], RUN_FIELDS) == shared
    assert sent("run.finished")["run"]["rollback"] == "unverified"
    for report in ("html", "md", "junit"):
        assert "unverified" in render_report(run, report).decode().lower(), report
    assert "unverified" in admin_client.get(f"/admin/scenarios/run/{run.pk}/change/").content.decode().lower()
    (fault,) = ci.get("faults?outstanding=true").json()["items"]
    assert (fault["state"], fault["outstanding"]) == ("unverified", True)


def test_a_run_that_waits_has_no_rollback_in_any_output(ci: Program, scenario: CommandLine) -> None:
    a_webhook()
    telling = Telling()
    telling.tell("run_started")
    shared = only(ci.get(f"runs/{telling.run.pk}").json(), RUN_FIELDS)
    assert (shared["status"], shared["rollback"], shared["duration"]) == ("running", None, None)
    telling.run.refresh_from_db()
    assert only(json.loads(render_report(telling.run, "json")), RUN_FIELDS) == shared
    assert only(scenario("runs", "--json").json["items"][0], RUN_FIELDS) == shared


def test_the_four_outputs_of_one_fault_agree(ci: Program, scenario: CommandLine, run: Run) -> None:
    shared = only(ci.get("faults").json()["items"][0], FAULT_FIELDS)
    assert (shared["run"], shared["outstanding"]) == (str(run.pk), True)
    assert only(json.loads(render_report(run, "json"))["faults"][0], FAULT_FIELDS) == shared
    assert only(scenario("faults", "--json").json["items"][0], FAULT_FIELDS) == shared
    assert only(sent("fault.outstanding")["fault"], FAULT_FIELDS) == shared


def test_the_state_of_a_fault_in_words_keeps_its_earlier_name_for_one_release(ci: Program, run: Run) -> None:
    fault = ci.get("faults").json()["items"][0]
    assert fault["standing"] == fault["status"] != ""
    earlier = {name: value for name, value in fault.items() if name != "status"}
    assert parse(Fault, earlier).status == fault["status"]


def test_api_stream_and_command_line_agree_about_events(ci: Program, scenario: CommandLine, run: Run) -> None:
    events = ci.get(f"runs/{run.pk}/events").json()["items"]
    names = set(EventRecord.__dataclass_fields__)
    assert events[0].keys() == names
    followed = [json.loads(line) for line in scenario("follow", run.pk, "--json").out.splitlines()]
    assert [only(event, names) for event in followed] == events
    stream = ci.get(f"runs/{run.pk}/events", Accept="text/event-stream").content.decode()
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
    assert [json.loads(line) for line in lines][: len(events)] == events


def test_the_earlier_names_stay_for_one_release(scenario: CommandLine, run: Run) -> None:
    told = {"state": "finished", "outcome": "passed", "started_by": "", "started_from": "cli"}
    outputs = {
        "began_at": scenario("runs", "--json").json["items"][0],
        "claimed_at": sent("run.finished")["run"],
        "run": json.loads(render_report(run, "json")),
    }
    for name, fields in outputs.items():
        assert only(fields, set(told)) == told
        assert fields["queued_at"] == fields["created_at"]
        assert fields[name] == (fields["id"] if name == "run" else fields["started_at"])
    assert outputs["claimed_at"]["sequence"] == run.last_event
    content = outputs["run"]
    assert content["time_to_detect_seconds"] == content["time_to_detect"] == 0.8
    assert content["seconds"] == content["duration"]
    event = json.loads(scenario("follow", run.pk, "--json").out.splitlines()[1])
    assert (event["subject"], event["detail"]) == (event["step"], event["data"])


def test_links_begin_with_the_public_address(ci: Program, client: Client, run: Run) -> None:
    address = ci.get(f"runs/{run.pk}").json()["url"]
    assert address.startswith("http://127.0.0.1:")
    client.force_login(User.objects.get())
    assert client.get("/" + address.split("/", 3)[3]).status_code == 200
