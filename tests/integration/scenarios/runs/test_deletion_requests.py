"""The watchdog deletes what has many runs, or deliveries, in short transactions, and the runs stay."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.access import tokens
from scenarios.admin.pages import address
from scenarios.domain.errors import BeingDeleted, InvalidSchedule
from scenarios.domain.outcomes import FaultState, Rollback
from scenarios.library import sync, tags
from scenarios.models import (
    AuditEntry,
    DeletionRequest,
    Delivery,
    Fault,
    Run,
    Scenario,
    Schedule,
    ScheduledTime,
    Webhook,
)
from scenarios.notifications import webhooks
from scenarios.planning import due, schedules
from scenarios.runs import commands as run_commands
from scenarios.runs import deletion_requests
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.runs.deletion_requests import Owner, Pace, Reference
from tests.integration.scenarios.control_room.test_large_lists import bulk_runs
from tests.integration.scenarios.planned_rows import DOCUMENT, minute, scheduled, someone, stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db(transaction=True)

RUNS = 5
POLLS = {"HX-Request": "true"}


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Of each statement that changed runs, how many; all of a watchdog's are small here."""
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 2)
    for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(deletion_requests, name, 2)
    changed: list[int] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith('UPDATE "scenarios_run"'):
            changed.append(context["cursor"].rowcount)
        return result

    with connection.execute_wrapper(note):
        yield changed


@pytest.fixture
def scenario(batches: list[int]) -> Scenario:
    row = stored()
    refer(scenario=row)
    batches.clear()
    return row


@pytest.fixture
def ann(batches: list[int]) -> User:
    person = User.objects.create_user("ann", is_staff=True)
    refer(started_by=person)
    batches.clear()
    return person


def refer(**fields: Any) -> None:
    bulk_runs(RUNS)
    Run.objects.update(scenario_name="break-exchange", **fields)


def carry_on(rounds: int = 10) -> None:
    """As the watchdog does; by default until nothing is left."""
    for key in deletion_requests.list_requests():
        pace = Pace()
        for _look_and_batch in range(1 + rounds):
            if not deletion_requests.carry_on(key, pace):
                break


def call(client: Client, method: str, path: str, body: str = "") -> Any:
    secret = tokens.create_token(User.objects.get(username="admin"), "a test", tuple(tokens.SCOPES))[1]
    headers = {"Authorization": f"Bearer {secret}"}
    return client.generic(method, f"/api/v1/{path}", body, content_type="application/json", headers=headers)


def delete_on_page(client: Client, row: Owner, app: str = "scenarios") -> str:
    page = reverse(f"admin:{app}_{row._meta.model_name}_delete", args=[row.pk])
    return client.post(page, {"post": "yes"}, follow=True).text


def delete_selected(client: Client, row: Scenario | User, app: str = "scenarios") -> str:
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    return client.post(reverse(f"admin:{app}_{row._meta.model_name}_changelist"), chosen, follow=True).text


@pytest.mark.parametrize("delete", [delete_on_page, delete_selected])
def test_a_scenario_is_deleted_from_the_pages_bit_by_bit(
    admin_client: Client, scenario: Scenario, batches: list[int], delete: Callable[..., str]
) -> None:
    page = delete(admin_client, scenario)
    assert "Many rows refer to “break-exchange”" in page
    assert "was deleted successfully" not in page
    assert f'<span class="number">{RUNS}</span> of <span class="number">{RUNS}</span> rows' in page
    assert "Nothing is being deleted now: " in page  # no watchdog has reported
    assert batches == []
    record_heartbeat("watchdog", "a:1")
    carry_on(1)
    page = admin_client.get(reverse("admin:scenarios_scenario_change", args=[scenario.pk])).text
    assert f'<progress max="{RUNS}" value="2"' in page
    assert "Nothing is being deleted now" not in page
    assert "Run…" not in page
    assert "_save" not in page
    carry_on()
    assert [count for count in batches if count] == [2, 2, 1]
    check_deleted(Scenario.objects.filter(pk=scenario.pk).exists(), "scenario delete", "break-exchange")
    assert Scenario.history.filter(history_type="-").get().history_user.get_username() == "admin"
    listed = admin_client.get(reverse("admin:scenarios_scenario_changelist")).text
    assert "Being deleted" not in listed


def check_deleted(exists: bool, action: str, target: str) -> None:
    assert not exists
    assert not DeletionRequest.objects.exists()
    assert Run.objects.count() == RUNS
    entry = AuditEntry.objects.get(entrance="watchdog")
    assert (entry.who, entry.action, entry.target) == ("admin", action, target)
    assert f"{RUNS} rows referred to it" in entry.detail


@pytest.mark.parametrize("delete", [delete_on_page, delete_selected])
def test_a_person_cannot_log_in_any_more_and_is_deleted_bit_by_bit(
    admin_client: Client, ann: User, batches: list[int], delete: Callable[..., str]
) -> None:
    browser = Client()
    browser.force_login(ann, "django.contrib.auth.backends.ModelBackend")
    LogEntry.objects.log_actions(ann.pk, [ann], 2, single_object=True)
    assert "Many rows refer to “ann”" in delete(admin_client, ann, "auth")
    assert browser.get("/admin/").status_code == 302
    page = admin_client.get(reverse("admin:auth_user_change", args=[ann.pk])).text
    assert "Being deleted" in page
    assert "_save" not in page
    AuditEntry.objects.all().delete()
    request = DeletionRequest.objects.get()
    assert request.total == RUNS + 1
    carry_on()
    assert [count for count in batches if count] == [2, 2, 1]
    assert not User.objects.filter(username="ann").exists()
    assert not DeletionRequest.objects.exists()
    assert Run.objects.filter(started_by=None).count() == RUNS
    assert AuditEntry.objects.get(entrance="watchdog").target == "ann"


def test_clients_of_the_api_are_told_where_to_look(admin_client: Client, scenario: Scenario) -> None:
    answer = call(admin_client, "DELETE", f"scenarios/{scenario.name}")
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/scenarios/{scenario.name}/deletion")
    carry_on(1)
    progress = call(admin_client, "GET", f"scenarios/{scenario.name}/deletion").json()
    assert (progress["requested_by"], progress["total"], progress["left"]) == ("admin", RUNS, RUNS - 2)
    assert progress["waiting_for"]
    assert call(admin_client, "DELETE", f"scenarios/{scenario.name}").status_code == 202
    for method, path, body in (
        ("POST", f"scenarios/{scenario.name}/runs", '{"variables": {}}'),
        ("PUT", f"scenarios/{scenario.name}", DOCUMENT),
    ):
        refused = call(admin_client, method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (409, "being_deleted")
    carry_on()
    assert call(admin_client, "GET", f"scenarios/{scenario.name}/deletion").status_code == 404


def test_a_few_runs_are_no_reason_to_wait(admin_client: Client, batches: list[int]) -> None:
    scenario = stored()
    bulk_runs(2, scenario=scenario)
    assert call(admin_client, "DELETE", f"scenarios/{scenario.name}").status_code == 204
    assert call(admin_client, "GET", f"scenarios/{scenario.name}/deletion").status_code == 404
    assert Run.objects.filter(scenario=None).count() == 2


def test_nobody_can_use_what_is_being_deleted(admin_client: Client, scenario: Scenario) -> None:
    schedule = scheduled(someone("berta", "run_scenario"), due=minute())
    sync.remove_scenario(scenario.name)
    with pytest.raises(BeingDeleted):
        run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=scenario)
    with pytest.raises(BeingDeleted):
        tags.add_tag(scenario, "new", by=None)
    with pytest.raises(InvalidSchedule, match="is being deleted"):
        scheduled(someone("carla", "run_scenario"), name="another")
    due.start_due(timezone.now())
    assert list(schedule.times.values_list("reason", flat=True)) == [
        "the scenario 'break-exchange' is being deleted"
    ]
    page = admin_client.get(reverse("admin:scenarios_scenario_run", args=[scenario.pk]), follow=True).text
    assert "is being deleted; wait until that is done" in page
    assert sync.plan_changes([], prune=True) == []
    assert Run.objects.count() == RUNS


def test_a_scenario_with_an_open_fault_is_kept_until_it_is_undone(batches: list[int]) -> None:
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    name = telling.run.scenario_name
    scenario = Scenario.objects.get(name=name)
    bulk_runs(RUNS, scenario=scenario)
    with pytest.raises(sync.CannotRemove):
        sync.remove_scenario(name)
    Fault.objects.update(state=FaultState.UNDONE)
    sync.remove_scenario(name)
    Fault.objects.update(state=FaultState.OUTSTANDING)  # it was found injected again
    carry_on()
    request = DeletionRequest.objects.get()
    assert (request.left, "is not undone" in request.obstacle) == (1, True)
    assert scenario.runs.get() == telling.run
    Fault.objects.update(state=FaultState.UNDONE)
    carry_on()
    assert not Scenario.objects.filter(name=name).exists()


def test_a_watchdog_leaves_the_request_to_one_that_is_at_work(scenario: Scenario) -> None:
    sync.remove_scenario(scenario.name)
    (key,) = deletion_requests.list_requests()
    first, second = Pace(), Pace()
    assert deletion_requests.carry_on(key, first) == deletion_requests.LOOK_SECONDS
    assert deletion_requests.carry_on(key, second) == deletion_requests.LOOK_SECONDS
    assert deletion_requests.carry_on(key, first) < deletion_requests.LOOK_SECONDS
    assert deletion_requests.carry_on(key, second) == 0.0
    assert Run.objects.filter(scenario=None).count() == 2
    assert deletion_requests.carry_on(key, second)  # the first one does not go on
    assert Run.objects.filter(scenario=None).count() == 4


def test_two_watchdogs_at_once_do_it_once(scenario: Scenario) -> None:
    sync.remove_scenario(scenario.name)
    (key,) = deletion_requests.list_requests()
    together = threading.Barrier(2, timeout=120)
    errors: list[BaseException] = []

    def watch() -> None:
        try:
            together.wait()
            pace = Pace()
            while DeletionRequest.objects.exists():
                deletion_requests.carry_on(key, pace)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            connection.close()

    watchdogs = [threading.Thread(target=watch) for _ in range(2)]
    for watchdog in watchdogs:
        watchdog.start()
    for watchdog in watchdogs:
        watchdog.join()
    assert errors == []
    assert not Scenario.objects.exists()
    assert AuditEntry.objects.filter(entrance="watchdog").count() == 1
    assert Run.objects.filter(scenario=None).count() == RUNS


def test_a_scenario_is_kept_from_its_page_and_can_be_used_again(
    admin_client: Client, scenario: Scenario
) -> None:
    change, keep = address(scenario), address(scenario, "keep")
    delete_on_page(admin_client, scenario)
    carry_on(1)
    page = admin_client.get(change).text
    assert f'formaction="{keep}"' in page
    assert "htmx" in page
    part = admin_client.get(change, headers=POLLS).text
    assert part.lstrip().startswith('<section class="card" id="deletions"')
    AuditEntry.objects.all().delete()
    page = admin_client.post(keep, follow=True).text
    assert "“break-exchange” is kept. 2 rows that referred to it do so no longer, and this stays so." in page
    assert "Being deleted" not in page
    assert "_save" in page
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action) == ("admin", "scenario keep")
    assert f"requested by admin, 3 of {RUNS} rows left became withdrawn" in entry.detail
    assert "It is kept" in admin_client.get(change, headers=POLLS).text
    assert "is not being deleted" in admin_client.post(keep, follow=True).text
    carry_on()
    assert scenario.runs.count() == RUNS - 2
    scenario = Scenario.objects.get()
    run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=scenario)
    scheduled(someone("carla", "run_scenario"))
    tags.add_tag(scenario, "new", by=None)


def test_pages_say_when_it_is_deleted(admin_client: Client, scenario: Scenario) -> None:
    listed = reverse("admin:scenarios_scenario_changelist")
    delete_on_page(admin_client, scenario)
    assert "Keep break-exchange" in admin_client.get(listed, headers=POLLS).text
    carry_on()
    part = admin_client.get(address(scenario), headers=POLLS).text
    assert "It is deleted" in part
    assert f'href="{listed}"' in part
    assert "hx-get" not in part
    assert "Nothing is being deleted any more" in admin_client.get(listed, headers=POLLS).text
    assert "It is deleted already" in admin_client.post(address(scenario, "keep"), follow=True).text


def test_only_those_who_may_delete_may_keep(client: Client, scenario: Scenario) -> None:
    sync.remove_scenario(scenario.name)
    client.force_login(someone("berta", "view_scenario"), "django.contrib.auth.backends.ModelBackend")
    page = client.get(address(scenario)).text
    assert "Being deleted" in page
    assert "formaction" not in page
    assert client.post(address(scenario, "keep")).status_code == 403
    assert DeletionRequest.objects.exists()


@pytest.mark.parametrize("is_active", [True, False])
def test_a_person_who_is_kept_can_log_in_as_before(admin_client: Client, ann: User, is_active: bool) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=is_active)
    delete_on_page(admin_client, ann, "auth")
    carry_on(1)
    page = admin_client.post(reverse("admin:auth_user_keep", args=[ann.pk]), follow=True).text
    assert "“ann” is kept" in page
    ann.refresh_from_db()
    assert ann.is_active == is_active
    assert Run.objects.filter(started_by=ann).count() == RUNS - 2


def test_clients_of_the_api_withdraw_a_deletion_once(admin_client: Client, scenario: Scenario) -> None:
    call(admin_client, "DELETE", f"scenarios/{scenario.name}")
    carry_on(1)
    progress = f"scenarios/{scenario.name}/deletion"
    answer = call(admin_client, "DELETE", progress)
    assert (answer.status_code, answer.json()["total"], answer.json()["left"]) == (200, RUNS, RUNS - 2)
    assert call(admin_client, "DELETE", progress).status_code == 404
    assert call(admin_client, "GET", progress).status_code == 404
    assert call(admin_client, "PUT", f"scenarios/{scenario.name}", DOCUMENT).status_code == 200
    entry = AuditEntry.objects.get(action="scenario deletion: delete", result="done")
    assert "became withdrawn" in entry.detail


def test_a_withdrawal_waits_for_the_batch_that_is_under_way(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.remove_scenario(scenario.name)
    (key,) = deletion_requests.list_requests()
    pace, in_a_batch, withdraws = Pace(), threading.Event(), threading.Event()
    clear = Reference.clear

    def clear_slowly(self: Reference, rows: Any) -> int:
        in_a_batch.set()
        assert withdraws.wait(120)
        withdrawing.join(0.3)
        assert withdrawing.is_alive()  # it cannot end before this transaction
        return clear(self, rows)

    def withdraw() -> None:
        try:
            assert in_a_batch.wait(120)
            withdraws.set()
            withdrawn.append(deletion_requests.withdraw_deletion(scenario))
        finally:
            connection.close()

    monkeypatch.setattr(Reference, "clear", clear_slowly)
    withdrawn: list[DeletionRequest | None] = []
    withdrawing = threading.Thread(target=withdraw)
    withdrawing.start()
    deletion_requests.carry_on(key, pace)  # the first look
    deletion_requests.carry_on(key, pace)
    withdrawing.join()
    assert [row.left for row in withdrawn if row] == [RUNS - 2]
    assert deletion_requests.carry_on(key, pace) == 0.0
    assert scenario.runs.count() == RUNS - 2
    assert not DeletionRequest.objects.exists()


def test_a_batch_that_was_chosen_before_the_withdrawal_changes_nothing(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.remove_scenario(scenario.name)
    (key,) = deletion_requests.list_requests()
    pace, find_rows = Pace(), deletion_requests._find_rows

    def find_and_withdraw(*arguments: Any) -> list[Any]:
        found = find_rows(*arguments)
        deletion_requests.withdraw_deletion(scenario)
        return found

    monkeypatch.setattr(deletion_requests, "_find_rows", find_and_withdraw)
    deletion_requests.carry_on(key, pace)
    assert deletion_requests.carry_on(key, pace) == 0.0
    assert scenario.runs.count() == RUNS


def test_of_two_withdrawals_one_has_withdrawn_it(scenario: Scenario) -> None:
    sync.remove_scenario(scenario.name)
    together = threading.Barrier(2, timeout=120)
    withdrawn: list[DeletionRequest | None] = []

    def withdraw() -> None:
        try:
            together.wait()
            withdrawn.append(deletion_requests.withdraw_deletion(scenario))
        finally:
            connection.close()

    people = [threading.Thread(target=withdraw) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(withdrawn) == 2
    assert sum(row is not None for row in withdrawn) == 1
    assert scenario.runs.count() == RUNS


def schedule_with_many() -> Schedule:
    """It has a run for each of its times."""
    row = scheduled(someone("berta", "run_scenario"), due=minute())
    refer(schedule=row)
    now = timezone.now()
    times = [
        ScheduledTime(schedule=row, due_at=now - timedelta(minutes=number), outcome="started", run=run)
        for number, run in enumerate(Run.objects.all())
    ]
    ScheduledTime.objects.bulk_create(times)
    return row


def test_a_schedule_with_many_runs_is_paused_and_deleted_bit_by_bit(
    admin_client: Client, batches: list[int]
) -> None:
    stored()
    schedule = schedule_with_many()
    batches.clear()
    asked = admin_client.get(address(schedule, "delete")).text
    assert f"({2 * RUNS} rows refer to it)" in asked
    page = delete_on_page(admin_client, schedule)
    assert "Many rows refer to “nightly”" in page
    assert DeletionRequest.objects.get().total == 2 * RUNS
    assert batches == []
    assert due.start_due(timezone.now()) == 0
    page = admin_client.get(address(schedule)).text
    assert "Being deleted" in page
    assert "_save" not in page
    with pytest.raises(InvalidSchedule, match="is being deleted"):
        schedules.pause(schedule, paused=False)
    carry_on(20)
    assert [count for count in batches if count] == [2, 2, 1]
    assert not ScheduledTime.objects.exists()
    assert not Schedule.objects.exists()
    assert Run.objects.filter(schedule=None).count() == RUNS
    entry = AuditEntry.objects.get(entrance="watchdog")
    assert (entry.who, entry.action, entry.target) == ("admin", "schedule delete", "nightly")


def test_a_schedule_that_is_kept_goes_on(admin_client: Client, batches: list[int]) -> None:
    stored()
    schedule = schedule_with_many()
    path = f"schedules/{schedule.name}"
    answer = call(admin_client, "DELETE", path)
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1/{path}/deletion")
    assert call(admin_client, "DELETE", path).status_code == 202
    carry_on(1)
    shown = call(admin_client, "GET", f"{path}/deletion").json()
    assert (shown["kind"], shown["name"], shown["left"]) == ("schedule", schedule.name, 2 * RUNS - 2)
    assert call(admin_client, "POST", f"{path}/resume").status_code == 409
    assert call(admin_client, "DELETE", f"{path}/deletion").json()["left"] == 2 * RUNS - 2
    assert call(admin_client, "DELETE", f"{path}/deletion").status_code == 404
    schedule.refresh_from_db()
    assert not schedule.is_paused
    assert schedule.next_at is not None
    assert schedule.next_at > timezone.now()


def test_a_webhook_with_many_deliveries_is_disabled_and_deleted_bit_by_bit(
    admin_client: Client, batches: list[int], settings: Settings
) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.example.com"]
    webhook = Webhook(name="chat", url="https://hooks.example.com/", events=["run.finished"])
    webhooks.save_webhook(webhook)
    for owner in (webhook, None):  # None: for Grafana
        rows = [Delivery(webhook=owner, message="run.finished", payload="{}") for _ in range(RUNS)]
        Delivery.objects.bulk_create(rows)
    path = f"webhooks/{webhook.pk}"
    assert call(admin_client, "DELETE", path).status_code == 202
    carry_on(1)
    assert call(admin_client, "GET", f"{path}/deletion").json()["left"] == RUNS - 2
    assert "Being deleted" in admin_client.get(address(webhook)).text
    changed = {"name": "chat", "url": "https://hooks.example.com/", "enabled": True}
    refused = call(admin_client, "PUT", path, json.dumps(changed))
    assert (refused.status_code, "is being deleted" in refused.text) == (422, True)
    assert "“chat” is kept" in admin_client.post(address(webhook, "keep"), follow=True).text
    webhook.refresh_from_db()
    assert webhook.is_enabled
    delete_on_page(admin_client, webhook)
    assert not Webhook.objects.get().is_enabled
    carry_on()
    assert not Webhook.objects.exists()
    assert Delivery.objects.filter(webhook=None).count() == Delivery.objects.count() == RUNS


def test_a_batch_lasts_as_long_as_wanted_whatever_the_machine() -> None:
    pace = Pace()
    for _ in range(20):
        pace.note(pace.rows, pace.rows * 0.001)  # a millisecond for each row
    assert pace.rows == round(deletion_requests.BATCH_SECONDS / 0.001)
    pace.note(pace.rows, 10.0)
    assert pace.rows == deletion_requests.MIN_ROWS
