"""The watchdog deletes what has many runs, or deliveries, in short transactions, and the runs stay."""

import threading
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from scenarios.domain.errors import BeingDeleted, InvalidSchedule
from scenarios.domain.outcomes import FaultState, Rollback
from scenarios.library import sync, tags
from scenarios.models import AuditEntry, DeletionRequest, Fault, Run, Scenario
from scenarios.planning import due
from scenarios.runs import commands as run_commands
from scenarios.runs import deletion_requests
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.runs.deletion_requests import Pace
from tests.integration.scenarios.control_room.test_large_lists import bulk_runs
from tests.integration.scenarios.planned_rows import DOCUMENT, minute, scheduled, someone, stored
from tests.integration.scenarios.runs.deletion_requests.deleted_rows import (
    RUNS,
    call,
    carry_on,
    delete_on_page,
    delete_selected,
)
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db(transaction=True)


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
    due.start_due(minute())
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


def test_a_batch_lasts_as_long_as_wanted_whatever_the_machine() -> None:
    pace = Pace()
    for _ in range(20):
        pace.note(pace.rows, pace.rows * 0.001)  # a millisecond for each row
    assert pace.rows == round(deletion_requests.BATCH_SECONDS / 0.001)
    pace.note(pace.rows, 10.0)
    assert pace.rows == deletion_requests.MIN_ROWS
