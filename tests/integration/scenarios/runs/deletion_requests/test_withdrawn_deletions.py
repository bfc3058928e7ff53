"""A deletion that is withdrawn while the watchdog carries it out."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from scenarios.admin.pages import address
from scenarios.library import sync, tags
from scenarios.models import AuditEntry, DeletionRequest, Run, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs import deletion_requests
from scenarios.runs.deletion_requests import Pace, Reference
from tests.integration.scenarios.planned_rows import DOCUMENT, scheduled, someone
from tests.integration.scenarios.runs.deletion_requests.deleted_rows import (
    POLLS,
    RUNS,
    call,
    carry_on,
    delete_on_page,
)

pytestmark = pytest.mark.django_db(transaction=True)


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
