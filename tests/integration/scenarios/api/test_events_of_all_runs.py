"""One stream has the events of all runs, and a reader that comes back misses none and gets none twice."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scenarios.api import all_events
from scenarios.api.event_stream import slots
from scenarios.domain.event_kinds import EventKind
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Event, Run
from scenarios.ports import Event as ReportedEvent
from scenarios.runs import commands as run_commands
from scenarios.runs import event_feed
from scenarios.runs.events import take_numbers, write_event
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT, SLOWED

pytestmark = pytest.mark.django_db


def read(caller: Program, query: str = "", **headers: str) -> list[dict[str, str]]:
    """The messages of one response."""
    answer = caller.get(f"events{query}", **headers)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/event-stream"
    text = b"".join(answer).decode()
    assert text.startswith("retry: 1000\n")
    blocks = text.removeprefix("retry: 1000\n").split("\n\n")
    assert blocks.pop() == "", "a message is not complete"
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def read_after(caller: Program, seen: str, query: str = "") -> list[dict[str, str]]:
    return read(caller, query, **{"Last-Event-ID": seen})


def start_run() -> Run:
    stored = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    return run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored)


def tell(run: Run, kind: str, **detail: Any) -> None:
    Run.objects.filter(pk=run.pk).update(**take_numbers())
    run.refresh_from_db()
    write_event(run, ReportedEvent(EventKind(kind), timezone.now(), "chaos", SLOWED, detail))


@pytest.fixture
def two(db: None) -> list[Run]:
    """Two runs, whose events come by turns."""
    runs = [start_run(), start_run()]
    for run in (*runs, *runs):
        tell(run, "action_started")
    return runs


def test_a_new_reader_begins_with_its_position_and_gets_what_comes(ci: Program, two: list[Run]) -> None:
    (position,) = read(ci)
    assert (position["event"], position["data"]) == ("position", "{}")
    tell(two[0], "phase_started")
    tell(two[1], "phase_finished")
    messages = read_after(ci, position["id"])
    found = [json.loads(message["data"]) for message in messages]
    assert [(event["run"], event["kind"]) for event in found] == [
        (str(two[0].pk), "phase_started"),
        (str(two[1].pk), "phase_finished"),
    ]
    assert {event["scenario"] for event in found} == {"exchange-latency"}
    assert read_after(ci, messages[-1]["id"]) == []


def test_readers_that_come_back_after_any_message_get_the_rest_once(ci: Program, two: list[Run]) -> None:
    tell(two[1], "run_finished", outcome="passed")
    whole = [message["id"] for message in read_after(ci, "0")]
    assert whole == [str(key) for key in Event.objects.order_by("pk").values_list("pk", flat=True)]
    for place, seen in enumerate(whole):
        assert [message["id"] for message in read_after(ci, seen)] == whole[place + 1 :]


def test_more_events_than_one_query_reads_come_in_one_response(
    ci: Program, two: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_after(ci, "0")
    monkeypatch.setattr(all_events, "MAX_BATCH", 2)
    monkeypatch.setattr(event_feed, "MAX_WINDOW", 3)
    assert read_after(ci, "0") == whole


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("?kind=run_finished", ["run_finished", "run_finished"]),
        ("?outcome=passed", ["run_finished", "run_finished"]),
        ("?outcome=failed", []),
        ("?kind=phase_started,run_finished&scenario=exchange-latency", ["phase_started", "run_finished"] * 2),
        ("?scenario=another", []),
    ],
)
def test_filters_select_events(ci: Program, query: str, kinds: list[str]) -> None:
    for run in (start_run(), start_run()):
        tell(run, "phase_started")
        tell(run, "run_finished", outcome="passed")
    # The last may be the reader's position, if earlier tests have used many ids.
    messages = [message for message in read_after(ci, "0", query) if "event" not in message]
    assert [json.loads(message["data"])["kind"] for message in messages] == kinds


def test_a_reader_whose_filters_skip_many_events_gets_its_position(
    ci: Program, two: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_events, "MAX_SILENT_IDS", 2)
    newest = Event.objects.latest("pk").pk
    assert read_after(ci, "0", "?scenario=another") == [
        {"id": str(newest), "event": "position", "data": "{}"}
    ]


def test_a_reader_of_a_database_that_was_restored_begins_again_at_its_end(
    ci: Program, two: list[Run]
) -> None:
    newest = Event.objects.latest("pk").pk
    (position,) = read_after(ci, str(newest + 5_000))
    assert (position["event"], position["id"]) == ("position", str(newest))


def test_the_cost_does_not_grow_with_the_number_of_runs(ci: Program) -> None:
    for run in [start_run() for _ in range(10)]:
        tell(run, "phase_started")
    with CaptureQueriesContext(connection) as queries:
        assert len(read_after(ci, "0")) == 10
    assert len([query for query in queries if "scenarios_event" in query["sql"]]) <= 4


def test_a_waiting_reader_gets_what_happens_meanwhile_and_frees_its_slot(ci: Program, two: list[Run]) -> None:
    answer: Any = ci.get("events?wait=20", **{"Last-Event-ID": "0"})
    parts = iter(answer)
    text = b""
    while text.count(b"\n\n") < Event.objects.count():
        text += next(parts)
    tell(two[0], "phase_started")
    while b"phase_started" not in text:
        text += next(parts)
    assert slots._taken == 1
    answer.close()
    assert slots._taken == 0


@pytest.mark.parametrize(
    ("query", "header", "place"),
    [
        ("?kind=no_such_kind", "0", "query.kind"),
        ("?outcome=good", "0", "query.outcome"),
        ("?limit=5", "0", "query"),
        ("", "12.end", "header.Last-Event-ID"),
        ("", "-1", "header.Last-Event-ID"),
        ("", "9" * 30, "header.Last-Event-ID"),
    ],
)
def test_requests_that_are_not_valid_are_refused(ci: Program, query: str, header: str, place: str) -> None:
    problem = read_problem(ci.get(f"events{query}", **{"Last-Event-ID": header}), 422)
    assert [error["path"] for error in problem["errors"]] == [place]


def test_a_reader_needs_the_permission_to_view_runs() -> None:
    read_problem(program(person()).get("events"), 403)
