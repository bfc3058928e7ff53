"""`scenario import --server`: one request, so that all documents are stored, or none."""

import json

import pytest

from scenarios.command_line.answers import NotUnderstood
from scenarios.command_line.coordinator import CommandRefused, ReadDocument
from scenarios.command_line.http_api import HttpApi
from scenarios.command_line.remote import RemoteCoordinator
from tests.servers.scripted_api import Answer, problem, scripted_api

DOCUMENTS = [ReadDocument("a", "the first"), ReadDocument("b", "the second")]


def test_all_documents_are_sent_in_one_request() -> None:
    rows = [{"name": "a", "change": "new"}, {"name": "c", "change": "removed"}]
    with scripted_api(Answer({"stored": True, "changes": rows})) as server:
        changes = RemoteCoordinator(HttpApi(server.url, "tc_x")).store_documents(DOCUMENTS, prune=True)
    assert [(change.name, change.kind, change.after) for change in changes] == [
        ("a", "new", "the first"),
        ("c", "removed", ""),
    ]
    (asked,) = server.asked
    assert json.loads(asked.body) == {"documents": ["the first", "the second"], "prune": True}


def test_lost_answer_explains_that_all_or_nothing_is_stored() -> None:
    with scripted_api(Answer(cut=True)) as server, pytest.raises(CommandRefused) as refused:
        RemoteCoordinator(HttpApi(server.url, "tc_x")).store_documents(DOCUMENTS, prune=False)
    assert "Everything is stored by now, or nothing" in str(refused.value)
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
    assert len(server.asked) == 3


def test_refusal_is_shown_unchanged() -> None:
    refusal = problem(409, "Scenario 'c' cannot be removed now.")
    with scripted_api(refusal) as server, pytest.raises(CommandRefused, match="cannot be removed now"):
        RemoteCoordinator(HttpApi(server.url, "tc_x")).store_documents(DOCUMENTS, prune=True)


def test_unknown_changes_are_refused() -> None:
    answer = Answer({"changes": [{"name": "a", "change": "renamed"}]})
    with scripted_api(answer) as server, pytest.raises(NotUnderstood):
        RemoteCoordinator(HttpApi(server.url, "tc_x")).store_documents(DOCUMENTS, prune=False)


def test_check_sends_one_request() -> None:
    rows = [
        {"name": f"stored-{number}", "change": "removed", "before": "kind: Scenario"} for number in range(99)
    ]
    rows.append({"name": "first", "change": "changed", "before": "kind: Other"})
    with scripted_api(Answer({"stored": False, "changes": rows})) as server:
        changes = RemoteCoordinator(HttpApi(server.url, "tc_x")).plan_changes(DOCUMENTS, prune=True)
    assert len(server.asked) == 1
    assert json.loads(server.asked[0].body)["check"] is True
    assert [(change.kind, change.before) for change in changes[-2:]] == [
        ("removed", "kind: Scenario"),
        ("changed", "kind: Other"),
    ]
