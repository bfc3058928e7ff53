"""A write that is sent again with its key is carried out once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.utils import timezone

from scenarios.access import idempotency
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Run, Scenario
from scenarios.models.access import KeptAnswer
from tests.integration.scenarios.api.conftest import Program, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
KEY = {"Idempotency-Key": "build-4711"}
START = "scenarios/exchange-latency/runs"


def test_repeated_request_gets_the_same_response_and_starts_nothing(ci: Program, stored: Scenario) -> None:
    first = ci.post(START, {}, **KEY)
    again = ci.post(START, {}, **KEY)
    assert (again.status_code, again.content, again["Location"]) == (201, first.content, first["Location"])
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Run.objects.count() == 1


def test_how_json_is_written_makes_no_other_request(ci: Program, stored: Scenario) -> None:
    for body in (b'{"wait": true, "priority": 1}', b'{"priority":1,"wait":true}'):
        assert ci.post(START, body, **KEY).status_code == 201
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "body"), [(START, {"wait": False}), (f"{START}?x=1", {}), ("stop", {"reason": "other"})]
)
def test_key_of_another_request_is_refused(ci: Program, stored: Scenario, path: str, body: Any) -> None:
    ci.post(START, {}, **KEY)
    assert "another request" in read_problem(ci.post(path, body, **KEY), 422)["detail"]
    assert Run.objects.count() == 1


def test_keys_of_different_callers_are_independent(ci: Program, admin_user: User, stored: Scenario) -> None:
    ci.post(START, {}, **KEY)
    assert program(admin_user).post(START, {}, **KEY).status_code == 201
    assert Run.objects.count() == 2


def test_refused_requests_are_checked_again(ci: Program) -> None:
    read_problem(ci.post(START, {}, **KEY), 404)
    assert not KeptAnswer.objects.exists()
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    assert ci.post(START, {}, **KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_invalid_keys_are_refused(ci: Program, stored: Scenario, key: str) -> None:
    read_problem(ci.post(START, {}, **{"Idempotency-Key": key}), 422)


def test_busy_database_gives_503_with_retry_after(
    ci: Program, stored: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_arguments: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(idempotency, "_claim", busy)
    answer = ci.post(START, {}, **KEY)
    read_problem(answer, 503)
    assert answer["Retry-After"] == "5"
    assert not Run.objects.exists()


def test_large_bodies_are_refused_with_a_key_too(ci: Program) -> None:
    read_problem(ci.ask("PUT", "scenarios/exchange-latency", b"#" * 3_000_000, **KEY), 413)


def test_key_does_not_replace_authentication(ci: Program) -> None:
    read_problem(Program("tc_wrong", ci.client).post(START, {}, **KEY), 401)


def test_crash_leaves_neither_run_nor_response(
    ci: Program, stored: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(_answer: object) -> None:
        assert Run.objects.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(idempotency.Answer, "is_kept", property(power_cut))
    with pytest.raises(KeyboardInterrupt):
        ci.post(START, {}, **KEY)
    monkeypatch.undo()
    assert not Run.objects.exists()
    assert ci.post(START, {}, **KEY).status_code == 201
    assert Run.objects.count() == 1


def test_responses_are_deleted_in_batches_after_a_day(ci: Program, stored: Scenario) -> None:
    for number in range(3):
        ci.post(START, {}, **{"Idempotency-Key": f"k{number}"})
    now = timezone.now()
    assert idempotency.prune_answers(now + timedelta(hours=23), at_most=10) == 0
    later = now + timedelta(hours=25)
    assert [idempotency.prune_answers(later, at_most=2) for _ in range(3)] == [2, 1, 0]


def test_key_is_reusable_after_a_day(ci: Program, stored: Scenario) -> None:
    ci.post(START, {}, **KEY)
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert "Idempotency-Replayed" not in ci.post(START, {}, **KEY)
    assert Run.objects.count() == 2


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_with_one_key_start_one_run(
    threads: ThreadPoolExecutor, admin_user: User
) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    sender = program(admin_user)
    together = threading.Barrier(8)

    def start(_number: int) -> tuple[int, bytes]:
        together.wait(120)
        try:
            answer = Program(sender.secret, type(sender.client)()).post(START, {}, **KEY)
            return answer.status_code, answer.content
        finally:
            connection.close()

    answers = set(threads.map(start, range(8)))
    assert len(answers) == 1
    assert answers.pop()[0] == 201
    assert Run.objects.count() == 1
