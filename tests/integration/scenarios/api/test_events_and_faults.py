"""Events in pages and as a stream; faults tried again and acknowledged."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.api.event_stream import StreamReader, slots
from scenarios.domain.outcomes import Rollback, RunState
from scenarios.models import Fault, Run
from tests.integration.scenarios.api.conftest import Program, read_problem
from tests.integration.scenarios.api.test_lists import rows_of_all_pages
from tests.integration.scenarios.story_rows import NOTICED, SLOWED, Telling

pytestmark = pytest.mark.django_db
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def telling() -> Telling:
    begun = Telling()
    begun.begin()
    return begun


class CallOnQuery:
    """Calls something right after the first query that contains the text."""

    def __init__(self, text: str, call: Callable[[], object]) -> None:
        self._text, self._call, self._is_called = text, call, False
        self._stack = ExitStack()

    def __enter__(self) -> None:
        self._stack.enter_context(connection.execute_wrapper(self._pass_on))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _pass_on(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if self._text in sql and not self._is_called:
            self._is_called = True
            self._call()
        return found


def ids(stream: bytes) -> list[int]:
    found = [line.partition(": ")[2] for line in stream.decode().splitlines() if line.startswith("id: ")]
    return [int(word) for word in found if not word.endswith(".end")]


def test_events_are_paged_by_sequence_number(ci: Program, telling: Telling) -> None:
    rows = rows_of_all_pages(ci, f"runs/{telling.run.pk}/events", 2)
    assert [row["sequence"] for row in rows] == list(range(1, 8))
    assert rows[-1]["kind"] == "validation_passed"
    assert rows[-1]["step"] == NOTICED
    assert rows[-1]["data"]["time_to_pass"] == 0.8
    after = ci.get(f"runs/{telling.run.pk}/events?after=5").json()["items"]
    assert [row["sequence"] for row in after] == [6, 7]


def test_stream_sends_new_events_and_retry(ci: Program, telling: Telling) -> None:
    address = f"runs/{telling.run.pk}/events"
    answer = ci.get(address, **STREAM)
    assert answer["Content-Type"] == "text/event-stream"
    assert answer.content.startswith(b"retry: 1000\nid: 1\ndata: {")
    assert ids(answer.content) == list(range(1, 8))
    telling.tell("phase_finished")
    assert ids(ci.get(address, **STREAM, **{"Last-Event-ID": "7"}).content) == [8]
    assert ids(ci.get(address, **STREAM, **{"Last-Event-ID": "8"}).content) == []


def test_stream_ends_with_the_verdict_then_204(ci: Program, telling: Telling) -> None:
    telling.finish()
    address = f"runs/{telling.run.pk}/events"
    content = ci.get(address, **STREAM).content
    *_, last = content.decode().strip().split("\n\n")
    seen = ids(content)[-1]
    assert last.startswith(f"id: {seen}.end\nevent: end\ndata: ")
    assert json.loads(last.partition("data: ")[2])["status"] == "passed"
    assert ci.get(address, **STREAM, **{"Last-Event-ID": f"{seen}.end"}).status_code == 204


def test_a_reader_whose_connection_broke_before_the_end_gets_it(ci: Program, telling: Telling) -> None:
    telling.finish()
    address = f"runs/{telling.run.pk}/events"
    seen = str(ids(ci.get(address, **STREAM).content)[-1])
    again = ci.get(address, **STREAM, **{"Last-Event-ID": seen}).content
    assert ids(again) == []
    assert b"event: end" in again


def test_events_that_came_after_the_state_was_read_do_not_hide_the_end(telling: Telling) -> None:
    """The run ends while its events are read: they are sent with the state that they belong to."""
    reader = StreamReader(telling.run, 0)
    with CallOnQuery('FROM "scenarios_run"', telling.finish):
        first: Any = reader.respond(0)
    assert ids(first.content) == list(range(1, 8))
    rest: Any = StreamReader(telling.run, 7).respond(0)
    assert b"event: end" in rest.content


def test_a_state_that_is_stored_after_the_last_event_still_ends_the_stream(telling: Telling) -> None:
    answer: Any = StreamReader(telling.run, 7).respond(60)
    parts = iter(answer)
    next(parts)
    ended = {
        "state": RunState.FINISHED,
        "outcome": "passed",
        "rollback": "clean",
        "finished_at": timezone.now(),
    }
    Run.objects.filter(pk=telling.run.pk).update(**ended)
    assert b"event: end" in b"".join(parts)


def test_stream_continues_after_a_full_batch(ci: Program, telling: Telling) -> None:
    telling.flicker(1500)
    address = f"runs/{telling.run.pk}/events"
    seen, total = 0, 0
    while new := ids(ci.get(address, **STREAM, **{"Last-Event-ID": str(seen)}).content):
        assert new[0] == seen + 1
        seen, total = new[-1], total + len(new)
    assert total == 1507


def test_waiting_reader_gets_new_events(telling: Telling) -> None:
    answer: Any = StreamReader(telling.run, 7).respond(5)
    parts = iter(answer)
    assert next(parts) == b"retry: 1000\n"
    telling.tell("phase_finished")
    assert ids(next(parts)) == [8]
    telling.finish()
    assert b"event: end" in b"".join(parts)


def test_reader_does_not_wait_without_a_free_slot(telling: Telling, settings: Settings) -> None:
    settings.API_WAITING_STREAMS = 0
    answer: Any = StreamReader(telling.run, 7).respond(20)
    assert b"".join(answer) == b"retry: 1000\n"


def test_disconnected_reader_releases_its_slot(telling: Telling, settings: Settings) -> None:
    settings.API_WAITING_STREAMS = 1
    answer: Any = StreamReader(telling.run, 0).respond(20)
    parts = iter(answer)
    next(parts)
    telling.tell("phase_finished")
    next(parts)
    assert not slots.acquire()
    answer.close()
    assert slots.acquire()
    slots.release()


@pytest.mark.parametrize("word", ["", "x", "-1", "99999999999", "²"])
def test_invalid_last_event_id_is_refused(ci: Program, telling: Telling, word: str) -> None:
    read_problem(ci.get(f"runs/{telling.run.pk}/events", **STREAM, **{"Last-Event-ID": word}), 422)


def test_events_of_an_unknown_run_are_404(ci: Program) -> None:
    read_problem(ci.get(f"runs/{uuid4()}/events", **STREAM), 404)


def test_outstanding_fault_is_listed_retried_and_acknowledged(ci: Program, telling: Telling) -> None:
    telling.finish(Rollback.DIRTY)
    (told,) = ci.get("faults?outstanding=true").json()["items"]
    assert ci.get("faults?outstanding=false").json()["items"] == []
    read_problem(ci.get("faults?outstanding=1"), 422)
    assert (told["action"], told["outstanding"], told["scenario"]) == (SLOWED, True, "exchange-latency")
    assert ci.post(f"faults/{told['id']}/retry").status_code == 200
    done = ci.post(f"faults/{told['id']}/acknowledge", {"reason": "repaired by hand"}).json()
    assert (done["state"], done["acknowledged_by"]) == ("acknowledged", "admin")
    assert Run.objects.get().rollback == Rollback.CLEAN
    read_problem(ci.post(f"faults/{told['id']}/retry"), 409)
    read_problem(ci.post(f"faults/{told['id']}/acknowledge", {"reason": "again"}), 409)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=active", 1),
        ("service=exchange", 1),
        ("driver=tcp", 0),
        ("outstanding=true", 0),
        ("outstanding=false", 1),
    ],
)
def test_faults_are_filtered(ci: Program, telling: Telling, query: str, found: int) -> None:
    assert len(ci.get(f"faults?{query}").json()["items"]) == found
    assert ci.get(f"faults/{Fault.objects.get().pk}").json()["run"] == str(telling.run.pk)
