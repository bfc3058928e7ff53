"""The watchdog deletes schedules with many runs, and webhooks with many deliveries."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.admin.pages import address
from scenarios.domain.errors import InvalidSchedule
from scenarios.models import (
    AuditEntry,
    DeletionRequest,
    Delivery,
    Run,
    Schedule,
    ScheduledTime,
    Webhook,
)
from scenarios.notifications import webhooks
from scenarios.planning import due, schedules
from tests.integration.scenarios.planned_rows import minute, scheduled, someone, stored
from tests.integration.scenarios.runs.deletion_requests.deleted_rows import (
    RUNS,
    call,
    carry_on,
    delete_on_page,
    refer,
)

pytestmark = pytest.mark.django_db(transaction=True)


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
    assert due.start_due(minute()) == 0
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
