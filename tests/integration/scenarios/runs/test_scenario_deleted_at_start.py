"""A scenario that is deleted while its run is being started: there is no run, and the caller learns why."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from scenarios.access import tokens
from scenarios.domain.errors import ScenarioDeleted
from scenarios.drivers import documents
from scenarios.language.document import Document
from scenarios.library.sync import CannotRemove, remove_scenario
from scenarios.models import Run, Scenario
from scenarios.planning import due
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import DOCUMENT, asked_run, minute, scheduled, someone, stored

pytestmark = pytest.mark.django_db(transaction=True)

SENTENCE = "Scenario 'break-exchange' was deleted; no run was started."


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """It is deleted between the look at it and the start."""
    row = stored()
    read = documents.read_document

    def delete_and_read(source: str) -> Document:
        Scenario.objects.filter(pk=row.pk).delete()
        return read(source)

    def patch_start(*arguments: Any, **named: Any) -> Run:
        with monkeypatch.context() as patched:
            patched.setattr(run_commands, "read_document", delete_and_read)
            return start(*arguments, **named)

    start = run_commands.start_run
    monkeypatch.setattr(run_commands, "start_run", patch_start)
    return row


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "a-key"}], ids=["plain", "once"])
def test_the_api_answers_404(scenario: Scenario, headers: dict[str, str]) -> None:
    owner = User.objects.create_superuser("ada")
    token = tokens.create_token(owner, "a test", tuple(tokens.SCOPES))[1]
    answer = Client().post(
        f"/api/v1/scenarios/{scenario.name}/runs",
        {"variables": {}},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", **headers},
    )
    assert (answer.status_code, answer.json()["detail"]) == (404, SENTENCE)
    assert not Run.objects.exists()


def test_the_run_page_answers_404(scenario: Scenario, admin_client: Client) -> None:
    page = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
    assert admin_client.post(page, {"delay": "5"}).status_code == 404
    assert not Run.objects.exists()


def test_a_schedule_notes_why_it_started_nothing() -> None:
    scenario = stored()
    schedule = scheduled(someone("ann", "run_scenario"), due=minute())
    scenario.delete()
    assert due.start_due(minute()) == 1
    reason = f"there is no scenario {scenario.name!r}"
    assert list(schedule.times.values_list("outcome", "reason")) == [("skipped", reason)]
    assert not Run.objects.exists()


def in_a_thread(action: Callable[[], None]) -> threading.Thread:
    def act() -> None:
        try:
            action()
        finally:
            connection.close()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_start_waits_for_a_deletion_that_has_begun_and_is_then_refused() -> None:
    row, begun, refusals = stored(), threading.Event(), []

    def start() -> None:
        begun.wait()
        try:
            run_commands.start_run(row.document, {}, origin="api", scenario=row)
        except ScenarioDeleted as error:
            refusals.append(str(error))

    starting = in_a_thread(start)
    with transaction.atomic():
        remove_scenario(row.name)
        begun.set()
        starting.join(0.5)  # it cannot end before the commit
        assert refusals == []
    starting.join()
    assert refusals == [SENTENCE]
    assert not Run.objects.exists()


def test_a_deletion_waits_for_a_start_that_has_begun_and_is_then_refused() -> None:
    row, begun, refusals = stored(), threading.Event(), []

    def delete() -> None:
        begun.wait()
        try:
            remove_scenario(row.name)
        except CannotRemove as error:
            refusals.append(str(error))

    deleting = in_a_thread(delete)
    with transaction.atomic():
        run_commands.start_run(row.document, {}, origin="api", scenario=row)
        begun.set()
        deleting.join(0.5)
        assert refusals == []
    deleting.join()
    assert "is queued" in refusals[0]
    assert Run.objects.get().scenario == row


def test_the_admin_deletes_by_the_same_rule(admin_client: Client) -> None:
    row = stored()
    asked_run(None, DOCUMENT, scenario=row)
    page = reverse("admin:scenarios_scenario_delete", args=[row.pk])
    assert (
        "cannot be removed now, because its run" in admin_client.post(page, {"post": "yes"}, follow=True).text
    )
    listed = reverse("admin:scenarios_scenario_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    assert "cannot be removed now, because its run" in admin_client.post(listed, chosen, follow=True).text
    Run.objects.all().delete()
    admin_client.post(page, {"post": "yes"})
    assert not Scenario.objects.exists()
    assert Scenario.history.filter(history_type="-").get().history_user.get_username() == "admin"
