"""`scenario import --server`: one request, so that all documents are stored, or none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordinator_client.command_line.coordinator import CommandRefused, ReadDocument
from coordinator_client.command_line.remote import RemoteCoordinator
from coordinator_client.errors import ConflictError, NotUnderstoodError
from coordinator_client.synchronous.client import Client
from tests.servers.scripted_api import Answer, problem, scripted_api


@contextmanager
def connect(server: str) -> Iterator[RemoteCoordinator]:
    with Client(server, "tc_x") as client:
        yield RemoteCoordinator(client)


DOCUMENTS = [ReadDocument("a", "the first"), ReadDocument("b", "the second")]


def test_all_documents_are_sent_in_one_request() -> None:
    rows = [{"name": "a", "change": "new"}, {"name": "c", "change": "removed"}]
    with scripted_api(Answer({"stored": True, "changes": rows})) as server, connect(server.url) as there:
        changes = there.store_documents(DOCUMENTS, prune=True)
    assert [(change.name, change.change) for change in changes] == [
        ("a", "new"),
        ("c", "removed"),
    ]
    (asked,) = server.asked
    assert json.loads(asked.body) == {"documents": ["the first", "the second"], "prune": True}


def test_lost_answer_explains_that_all_or_nothing_is_stored() -> None:
    with (
        scripted_api(Answer(cut=True)) as server,
        connect(server.url) as there,
        pytest.raises(CommandRefused) as refused,
    ):
        there.store_documents(DOCUMENTS, prune=False)
    assert "Either everything was stored, or nothing" in str(refused.value)
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
    assert len(server.asked) == 3


def test_refusal_is_shown_unchanged() -> None:
    refusal = problem(409, "Scenario 'c' cannot be removed now.")
    with (
        scripted_api(refusal) as server,
        connect(server.url) as there,
        pytest.raises(ConflictError, match="cannot be removed now"),
    ):
        there.store_documents(DOCUMENTS, prune=True)


def test_unknown_changes_are_refused() -> None:
    answer = Answer({"changes": [{"name": "a", "change": "renamed"}]})
    with scripted_api(answer) as server, connect(server.url) as there, pytest.raises(NotUnderstoodError):
        there.store_documents(DOCUMENTS, prune=False)


def test_check_sends_one_request() -> None:
    rows = [
        {"name": f"stored-{number}", "change": "removed", "before": "kind: Scenario"} for number in range(99)
    ]
    rows.append({"name": "first", "change": "changed", "before": "kind: Other"})
    with scripted_api(Answer({"stored": False, "changes": rows})) as server, connect(server.url) as there:
        changes = there.plan_changes(DOCUMENTS, prune=True)
    assert len(server.asked) == 1
    assert json.loads(server.asked[0].body)["check"] is True
    assert [(change.change, change.before) for change in changes[-2:]] == [
        ("removed", "kind: Scenario"),
        ("changed", "kind: Other"),
    ]
