"""Schedules are written, paused and explained on their page; the lists stay quick."""

from datetime import time, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from scenarios.models import Approval, Scenario, Schedule, Suite
from scenarios.planning import due
from tests.integration.scenarios.planned_rows import (
    DOCUMENT,
    asked_run,
    exchange,
    minute,
    scheduled,
    someone,
    stored,
)

pytestmark = pytest.mark.django_db

GIVEN = {
    "name": "weekly",
    "scenario_name": "break-exchange",
    "variables_text": "delay=9\n",
    "cron": "30 2 * * TUE",
    "time_zone": "Europe/Berlin",
    "grace_minutes": "15",
    "window_days": ["1", "2"],
    "window_from": "22:00",
    "window_to": "04:00",
}
ADD = "/admin/scenarios/schedule/add/"


@pytest.fixture(autouse=True)
def scenario() -> Scenario:
    return stored()


@pytest.fixture
def admin(admin_user: User) -> User:
    return admin_user


def build_page_address(schedule: Schedule) -> str:
    return reverse("admin:scenarios_schedule_change", args=[schedule.pk])


def shown(client: Client, schedule: Schedule) -> str:
    return client.get(build_page_address(schedule)).content.decode()


def test_a_schedule_is_written_on_the_page_with_its_author_and_next_time(admin_client: Client) -> None:
    assert admin_client.post(ADD, GIVEN).status_code == 302
    schedule = Schedule.objects.get()
    assert (schedule.variables, schedule.window_days) == ({"delay": 9}, [1, 2])
    assert str(schedule.changed_by) == "admin"
    assert schedule.next_at is not None
    content = shown(admin_client, schedule)
    assert "At 02:30 on Tuesday, Europe/Berlin; window: Monday, Tuesday, 22:00 to 04:00" in content
    assert content.count("02:30 CE") == 5
    assert "delay=9" in content


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cron", "61 2 * * *", "its minute is not valid"),
        ("time_zone", "Mars/Olympus", "unknown time zone"),
        ("window_from", "", "only one of its two times"),
        ("variables_text", "delay=1000", "it must be at most 100"),
        ("variables_text", "delay", "has no value"),
        ("scenario_name", "gone", "not one of the available choices"),
        ("name", "No Label", "Use a-z, 0-9"),
        ("cron", "0 12 * * MON", "is never due within its window"),
    ],
)
def test_invalid_value_is_reported_at_its_field(
    admin_client: Client, field: str, value: str, words: str
) -> None:
    answer = admin_client.post(ADD, {**GIVEN, field: value})
    assert words in str(answer.context["adminform"].form.errors[field])
    assert not Schedule.objects.exists()


def test_everything_that_makes_no_sense_is_said_at_once(admin_client: Client) -> None:
    wrong = {"name": "No Label", "cron": "61 2 * * *", "time_zone": "Mars/Olympus", "window_to": ""}
    answer = admin_client.post(ADD, {**GIVEN, **wrong, "variables_text": "delay=1000", "grace_minutes": "-1"})
    errors = answer.context["adminform"].form.errors
    places = {"name", "cron", "time_zone", "window_from", "variables_text", "grace_minutes"}
    assert set(errors) == places
    assert all(len(errors[place]) == 1 for place in places)


def test_nothing_is_said_of_a_field_for_the_sake_of_another_that_could_not_be_read(
    admin_client: Client, admin: User
) -> None:
    schedule = scheduled(admin, window_from="01:00", window_to="02:00")
    wrong = {"scenario_name": "gone", "window_to": "never", "variables_text": "unknown=1"}
    answer = admin_client.post(build_page_address(schedule), {**GIVEN, **wrong})
    assert set(answer.context["adminform"].form.errors) == {"scenario_name", "window_to"}


def test_user_who_may_only_view_a_schedule_sees_its_variables_and_window(client: Client, admin: User) -> None:
    schedule = scheduled(admin, variables={"delay": "9"}, window_days=[1, 2])
    Schedule.objects.update(window_from=time(22), window_to=time(4))
    client.force_login(someone("vic", "view_schedule"))
    content = shown(client, schedule)
    assert "delay=9" in content
    assert "window: Monday, Tuesday, 22:00 to 04:00" in content
    assert "[1, 2]" not in content


def test_it_is_paused_and_resumed_and_both_are_in_its_history(admin_client: Client, admin: User) -> None:
    schedule = scheduled(admin)
    pause = reverse("admin:scenarios_schedule_pause", args=[schedule.pk])
    assert (
        "Paused. No run starts until you resume it." in admin_client.post(pause, follow=True).content.decode()
    )
    schedule.refresh_from_db()
    assert (schedule.is_paused, schedule.next_at) == (True, None)
    admin_client.post(pause, {"resume": "yes"})
    schedule.refresh_from_db()
    assert schedule.next_at is not None
    history = admin_client.get(reverse("admin:scenarios_schedule_history", args=[schedule.pk]))
    assert "Paused." in history.content.decode()
    assert "Resumed." in history.content.decode()


def test_the_page_tells_what_came_of_its_times_and_what_stands_in_its_way(
    admin_client: Client, admin: User
) -> None:
    schedule = scheduled(admin, due=minute())
    due.start_due(minute())
    content = shown(admin_client, schedule)
    assert "started" in content
    assert "No run would start now: its run break-exchange" in content
    Scenario.objects.all().delete()
    Schedule.objects.update(next_at=minute() + timedelta(minutes=1))
    due.start_due(timezone.now() + timedelta(minutes=1))
    assert "which does not exist" in shown(admin_client, schedule)


def test_one_that_lacks_an_approval_says_so_and_leads_there(admin_client: Client, admin: User) -> None:
    exchange(is_protected=True)
    schedule = scheduled(admin)
    content = shown(admin_client, schedule)
    assert "it needs the approval of a second person: &#x27;exchange&#x27; is protected" in content
    address = reverse("admin:scenarios_approval_change", args=[Approval.objects.get().pk])
    assert address in content
    assert "You requested this" in admin_client.get(address).content.decode()


def test_an_unknown_time_zone_is_reported_on_page_and_list(admin_client: Client, admin: User) -> None:
    schedule = scheduled(admin)
    Schedule.objects.update(time_zone="Mars/Olympus")
    assert "unknown time zone" in shown(admin_client, schedule)
    assert "unknown time zone" in admin_client.get("/admin/scenarios/schedule/").content.decode()


@pytest.mark.parametrize(
    ("page", "at_most"),
    [("schedule", 9), ("approval", 8), ("service", 10)],
)
def test_a_list_asks_not_once_for_each_row(
    admin_client: Client,
    admin: User,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    page: str,
    at_most: int,
) -> None:
    exchange(is_protected=True)
    for number in range(12):
        asked_run(admin)
        scheduled(admin, due=minute(), name=f"number-{number}")
    due.start_due(minute())
    with django_assert_max_num_queries(at_most):
        assert admin_client.get(f"/admin/scenarios/{page}/").status_code == 200


def test_the_approval_shows_what_would_be_broken_and_with_which_variables(
    admin_client: Client, admin: User
) -> None:
    exchange(is_protected=True)
    run = asked_run(admin, DOCUMENT.replace("default: 5", "default: 42"))
    content = admin_client.get(f"/admin/scenarios/approval/{run.approval.pk}/change/").content.decode()
    for words in ("<svg", "break it", "/fault/42", "exchange"):
        assert words in content


def test_a_run_whose_document_no_longer_fits_is_shown_with_the_reason(
    admin_client: Client, admin: User
) -> None:
    exchange(is_protected=True)
    run = asked_run(admin)
    type(run).objects.update(document=DOCUMENT.replace("method: POST", "metod: POST"))
    content = admin_client.get(f"/admin/scenarios/approval/{run.approval.pk}/change/").content.decode()
    assert "did you mean" in content


def test_among_many_scenarios_a_name_is_typed_with_suggestions(admin_client: Client, admin: User) -> None:
    Scenario.objects.bulk_create(Scenario(name=f"scenario-{number}", document="") for number in range(150))
    page = admin_client.get(ADD).content.decode()
    assert "scenario-77" not in page
    subjects = "/admin/scenarios/schedule/subjects/"
    assert f'hx-get="{subjects}?of=scenario_name"' in page
    asked = {"of": "scenario_name", "scenario_name": "RIO-77"}
    assert 'value="scenario-77"' in admin_client.get(subjects, asked).content.decode()
    refused = admin_client.post(ADD, {**GIVEN, "scenario_name": "gone"})
    assert "there is no scenario &#x27;gone&#x27;" in refused.content.decode()
    assert admin_client.post(ADD, {**GIVEN, "scenario_name": "a\0b"}).status_code == 200
    assert admin_client.post(ADD, GIVEN).status_code == 302
    assert 'value="break-exchange"' in shown(admin_client, Schedule.objects.get())


def test_suites_are_suggested_with_their_prefix(admin_client: Client) -> None:
    Suite.objects.create(name="exchange-suite", document="")
    for typed in ("suite:exch", "exch"):
        answer = admin_client.get(
            "/admin/scenarios/schedule/subjects/", {"of": "s", "s": typed}
        ).content.decode()
        assert 'value="suite:exchange-suite"' in answer
        assert ('value="break-exchange"' in answer) == (typed == "exch")
