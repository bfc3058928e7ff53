"""Schedules over the API: written by name, paused, deleted."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from scenarios.models import Approval, Run, Schedule
from scenarios.planning import due
from tests.integration.scenarios import planned_rows
from tests.integration.scenarios.api.conftest import ALL, Program, person, program, read_problem

pytestmark = pytest.mark.django_db
WISH = {"scenario": "break-exchange", "cron": "30 2 * * MON-FRI", "time_zone": "Europe/Berlin"}
WINDOW = {"window_days": [5, 1, 5], "window_from": "22:00", "window_to": "04:30:15"}
PLACE = "schedules/nightly"
VIEW = "scenarios.view_schedule"
WRITE = ("scenarios.add_schedule", "scenarios.change_schedule")


@pytest.fixture(autouse=True)
def break_exchange(db: None) -> None:
    planned_rows.stored()


def test_created_schedule_lists_its_next_times(ci: Program) -> None:
    told = ci.ask("PUT", PLACE, {**WISH, **WINDOW, "variables": {"delay": 7}}).json()
    assert told == ci.get(PLACE).json()
    assert (told["name"], told["scenario"], told["variables"]) == ("nightly", "break-exchange", {"delay": 7})
    assert (told["window_days"], told["window_from"], told["window_to"]) == ([1, 5], "22:00", "04:30:15")
    assert (told["grace_minutes"], told["paused"], told["changed_by"]) == (15, False, "admin")
    assert (len(told["next_times"]), told["next_times"][0]) == (5, told["next_at"])
    assert (told["obstacle"], told["approval"], told["last_times"]) == ("", None, [])
    assert "Europe/Berlin" in told["in_words"]


def test_put_replaces_a_schedule_but_keeps_it_paused(ci: Program) -> None:
    ci.ask("PUT", PLACE, {**WISH, **WINDOW, "paused": True})
    told = ci.ask("PUT", PLACE, {**WISH, "cron": "0 3 * * *"}).json()
    assert (told["cron"], told["window_days"], told["window_from"]) == ("0 3 * * *", [], None)
    assert (told["paused"], told["next_at"], told["next_times"]) == (True, None, [])
    assert ci.ask("PUT", PLACE, {**WISH, "paused": False}).json()["paused"] is False
    assert Schedule.objects.count() == 1


@pytest.mark.parametrize(
    ("wish", "path", "sentence"),
    [
        ({"cron": "* *"}, "body.cron", "has 2 fields"),
        ({"time_zone": "Mars"}, "body.time_zone", "unknown time zone"),
        ({"scenario": "gone"}, "body.scenario", "there is no scenario 'gone'"),
        ({"variables": {"delay": 101}}, "body.variables", "at most"),
        ({"window_from": "22:00"}, "body.window_from", "only one of its two times"),
        ({"window_from": "24:00"}, "body.window_from", "invalid value"),
        ({"window_days": [8]}, "body.window_days.0", "less than or equal to 7"),
        ({"grace_minutes": 1441}, "body.grace_minutes", "less than or equal to 1440"),
        ({"next_at": "x"}, "body.next_at", "unknown field"),
    ],
)
def test_invalid_fields_name_their_place(ci: Program, wish: Any, path: str, sentence: str) -> None:
    found = read_problem(ci.ask("PUT", PLACE, {**WISH, **wish}), 422)["errors"][0]
    assert found["path"] == path
    assert sentence in found["message"]
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("name", ["Nightly", "a_b", "a" * 64, "a%00b"])
def test_invalid_names_are_refused_or_not_found(ci: Program, name: str) -> None:
    found = read_problem(ci.ask("PUT", f"schedules/{name}", WISH), 422)
    assert found["errors"][0]["path"] == "path.name"
    read_problem(ci.get(f"schedules/{name}"), 404)


def test_schedule_is_paused_and_resumed_from_now_on(ci: Program, admin_user: User) -> None:
    schedule = planned_rows.scheduled(admin_user, due=planned_rows.minute(5))
    told = ci.post(f"{PLACE}/pause").json()
    assert (told["paused"], told["next_at"], told["next_times"]) == (True, None, [])
    assert due.start_due(planned_rows.minute()) == 0
    told = ci.post(f"{PLACE}/resume").json()
    schedule.refresh_from_db()
    assert (told["paused"], schedule.next_at is not None and schedule.next_at > timezone.now()) == (
        False,
        True,
    )


def test_schedule_with_an_unknown_time_zone_cannot_be_resumed(ci: Program, admin_user: User) -> None:
    planned_rows.scheduled(admin_user, is_paused=True)
    Schedule.objects.update(time_zone="Mars/Base")
    assert "unknown time zone" in ci.get(PLACE).json()["obstacle"]
    assert "unknown time zone" in read_problem(ci.post(f"{PLACE}/resume"), 409)["detail"]


def test_runs_of_a_deleted_schedule_stay(ci: Program, admin_user: User) -> None:
    planned_rows.scheduled(admin_user, due=planned_rows.minute())
    due.start_due(planned_rows.minute())
    (told,) = ci.get(PLACE).json()["last_times"]
    assert (told["outcome"], told["run"]) == ("started", str(Run.objects.get().pk))
    assert ci.ask("DELETE", PLACE).status_code == 204
    read_problem(ci.ask("DELETE", PLACE), 404)
    assert Run.objects.get().schedule is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        *[("", 1), ("name=night", 1), ("name=day", 0), ("scenario=break-exchange", 1)],
        *[("scenario=break", 0), ("paused=false", 1), ("paused=true", 0)],
    ],
)
def test_schedules_are_filtered(ci: Program, admin_user: User, query: str, found: int) -> None:
    planned_rows.scheduled(admin_user)
    assert len(ci.get(f"schedules?{query}").json()["items"]) == found


def test_author_of_a_schedule_needs_the_permission_to_run() -> None:
    writer = program(person(VIEW, *WRITE))
    found = read_problem(writer.ask("PUT", PLACE, WISH), 403)
    assert "scenarios.run_scenario" in found["detail"]
    runner = person(VIEW, *WRITE, "scenarios.run_scenario", name="bob")
    without_scope = program(runner, *(scope for scope in ALL if scope != "run"))
    read_problem(without_scope.ask("PUT", PLACE, WISH), 403)
    allowed = program(runner, "schedule", "run")
    assert allowed.ask("PUT", PLACE, WISH).json()["changed_by"] == "bob"
    read_problem(without_scope.post(f"{PLACE}/pause"), 403)
    read_problem(program(runner, "edit", "run").post(f"{PLACE}/resume"), 403)


def test_schedule_on_a_protected_service_names_its_approval(ci: Program) -> None:
    planned_rows.exchange(is_protected=True)
    told = ci.ask("PUT", PLACE, WISH).json()
    assert told["approval"] == Approval.objects.get().pk
    assert "approval of a second person" in told["obstacle"]


def test_repeated_deletion_with_the_same_key_counts_once(ci: Program) -> None:
    ci.ask("PUT", PLACE, WISH)
    key = {"Idempotency-Key": "gone-1"}
    assert [ci.ask("DELETE", PLACE, **key).status_code for _ in range(2)] == [204, 204]
    key = {"Idempotency-Key": "made-1"}
    assert [ci.ask("PUT", PLACE, WISH, **key).status_code for _ in range(2)] == [201, 201]
    assert read_problem(ci.ask("PUT", PLACE, {**WISH, "cron": "* *"}, **{"Idempotency-Key": "x"}), 422)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(6) as pool:
        yield pool


@pytest.mark.django_db(transaction=True)
def test_concurrent_puts_create_one_schedule(threads: ThreadPoolExecutor, admin_user: User) -> None:
    secret, together = program(admin_user).secret, threading.Barrier(6)

    def put(number: int) -> int:
        together.wait(120)
        try:
            status: int = (
                Program(secret, Client()).ask("PUT", PLACE, {**WISH, "grace_minutes": number}).status_code
            )
            return status
        finally:
            connection.close()

    assert sorted(threads.map(put, range(6))) == [200] * 5 + [201]
    assert Schedule.objects.count() == 1
