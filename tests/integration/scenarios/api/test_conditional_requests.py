"""Two programs change one thing: the second is told, and nothing of the first is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from scenarios.models import Scenario, Service
from tests.integration.scenarios.api.conftest import Program, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
SERVICE = {"base_url": "http://127.0.0.1:9101"}
SCHEDULE = {"scenario": "exchange-latency", "cron": "0 3 * * *"}
WEBHOOK = {"name": "chat", "url": "http://127.0.0.1:9/hook"}
CREATED_BY_PUT = {
    "services/exchange": (SERVICE, {**SERVICE, "description": "changed"}),
    "hosts/db-1": ({"address": "root@127.0.0.1:22"}, {"address": "root@127.0.0.1:2222"}),
    "schedules/nightly": (SCHEDULE, {**SCHEDULE, "cron": "0 4 * * *"}),
    "scenarios/exchange-latency": (DOCUMENT, DOCUMENT.replace("title:", "title: Changed,", 1)),
}


@pytest.fixture(params=CREATED_BY_PUT)
def place(request: Any, stored: Scenario) -> str:
    if request.param.startswith("scenarios/"):
        stored.delete()
    return str(request.param)


def test_the_second_of_two_writers_is_refused(ci: Program, place: str) -> None:
    before, after = CREATED_BY_PUT[place]
    created = ci.ask("PUT", place, before)
    assert created.status_code == 201, created.content
    assert created["Location"] == f"/api/v1/{place}"
    seen = ci.get(place)["ETag"]
    assert created["ETag"] == seen
    changed = ci.ask("PUT", place, after, **{"If-Match": seen})
    assert changed.status_code == 200, changed.content
    assert changed["ETag"] != seen
    problem = read_problem(ci.ask("PUT", place, before, **{"If-Match": seen}), 412)
    assert problem["code"] == "changed_meanwhile"
    assert seen in problem["detail"]
    assert ci.get(place)["ETag"] == changed["ETag"]
    read_problem(ci.ask("DELETE", place, **{"If-Match": seen}), 412)
    assert ci.ask("DELETE", place, **{"If-Match": changed["ETag"]}).status_code == 204
    read_problem(ci.ask("DELETE", place, **{"If-Match": "*"}), 412)


def test_only_something_new_is_written(ci: Program, place: str) -> None:
    before, after = CREATED_BY_PUT[place]
    assert ci.ask("PUT", place, before, **{"If-None-Match": "*"}).status_code == 201
    problem = read_problem(ci.ask("PUT", place, after, **{"If-None-Match": "*"}), 412)
    assert "It exists" in problem["detail"]


def test_a_reader_who_has_the_version_gets_no_content(ci: Program, place: str) -> None:
    ci.ask("PUT", place, CREATED_BY_PUT[place][0])
    tag = ci.get(place)["ETag"]
    again = ci.get(place, **{"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert ci.get(place, **{"If-None-Match": '"other"'}).status_code == 200
    assert not {"Content-Type", "Content-Length"} & set(again.headers)


def test_weak_tag_suffices_to_read_but_not_to_write(ci: Program) -> None:
    """nginx makes the tags of responses weak that it compresses."""
    ci.ask("PUT", "services/exchange", SERVICE)
    tag = ci.get("services/exchange")["ETag"]
    assert ci.get("services/exchange", **{"If-None-Match": f"W/{tag}"}).status_code == 304
    refused = ci.ask("PUT", "services/exchange", SERVICE, **{"If-Match": f"W/{tag}"})
    assert f"W/{tag} is weak" in read_problem(refused, 412)["detail"]


def test_an_invalid_write_changes_nothing_and_says_why(ci: Program) -> None:
    read_problem(ci.ask("PUT", "services/exchange", {"base_url": "ftp://x"}, **{"If-None-Match": "*"}), 422)
    assert not Service.objects.exists()
    read_problem(ci.ask("PUT", "services/Not%00A name", SERVICE), 422)


def test_a_webhook_has_a_version(ci: Program) -> None:
    place = f"webhooks/{ci.post('webhooks', WEBHOOK).json()['id']}"
    seen = ci.get(place)["ETag"]
    changed = ci.ask("PUT", place, {**WEBHOOK, "enabled": False}, **{"If-Match": seen})
    assert changed.status_code == 200
    read_problem(ci.ask("PUT", place, WEBHOOK, **{"If-Match": seen}), 412)
    read_problem(ci.ask("DELETE", place, **{"If-Match": seen}), 412)
    assert ci.ask("DELETE", place, **{"If-Match": changed["ETag"]}).status_code == 204
    read_problem(ci.ask("PUT", "webhooks/x", WEBHOOK, **{"If-Match": seen}), 412)


def test_a_repeated_write_gets_its_first_answer(ci: Program) -> None:
    """The condition held when it was carried out."""
    headers = {"If-None-Match": "*", "Idempotency-Key": "once"}
    answers = [ci.ask("PUT", "services/exchange", SERVICE, **headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0]["ETag"] == answers[1]["ETag"]


@pytest.mark.django_db(transaction=True)
def test_one_of_several_writers_creates_the_resource(admin_user: User) -> None:
    secret, together = program(admin_user).secret, threading.Barrier(5)

    def put(number: int) -> int:
        together.wait(120)
        try:
            body = {**SERVICE, "description": str(number)}
            answer = Program(secret, Client()).ask("PUT", "services/exchange", body, **{"If-None-Match": "*"})
            return int(answer.status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as threads:
        assert sorted(threads.map(put, range(5))) == [201, *[412] * 4]
