"""Messages to the outside are stored together with the change that they report, or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.errors import LeaseLost
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.models import Delivery, Scenario
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import faults as fault_commands
from scenarios.runs import leases, lifecycle
from scenarios.runs.deletion_requests import delete_or_request
from scenarios.runs.leases import Claim
from tests.integration.scenarios.runs.outside_rows import a_webhook, written
from tests.integration.scenarios.story_rows import SLOWED, Telling

pytestmark = pytest.mark.django_db


def test_run_start_and_end_write_messages() -> None:
    a_webhook()
    telling = Telling()
    telling.tell("run_started")
    telling.begin()
    run = telling.finish()
    assert written() == ["run.started", "run.finished"]
    message = json.loads(Delivery.objects.get(message="run.finished").payload)
    facts = message["data"]["run"]
    assert (message["type"], facts["id"], facts["status"]) == ("run.finished", str(run.id), "passed")
    assert facts["url"].endswith(reverse("admin:scenarios_run_change", args=[run.id]))
    assert facts["last_event"] == run.last_event


def test_run_that_waits_for_approval_writes_a_message() -> None:
    a_webhook()
    Telling().tell("approval_asked")
    assert written() == ["run.awaiting_approval"]


def test_rolled_back_events_write_no_message() -> None:
    a_webhook()
    telling = Telling()
    with transaction.atomic():
        telling.tell("run_started")
        transaction.set_rollback(True)
    assert written() == []


@pytest.mark.django_db(transaction=True)
def test_deleting_a_webhook_waits_for_messages_being_written() -> None:
    webhook, telling = a_webhook(), Telling()

    def delete() -> None:
        try:
            delete_or_request(webhook, by=None)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            telling.tell("run_started")
            deleting = threads.submit(delete)
            assert not wait([deleting], timeout=0.3).done
        deleting.result(30)
    assert not Delivery.objects.exists()


def test_worker_without_the_lease_writes_no_message() -> None:
    a_webhook()
    telling = Telling()
    stale = Claim(telling.claim.run_id, telling.claim.fence - 1)
    with pytest.raises(LeaseLost):
        lifecycle.finish_run(stale, Verdict(Outcome.PASSED, "", Rollback.CLEAN), timezone.now())
    assert written() == []


def test_outstanding_and_resolved_faults_write_messages(settings: Settings) -> None:
    settings.GRAFANA_URL = ""
    a_webhook()
    telling = Telling()
    telling.begin()
    run = telling.finish(Rollback.DIRTY)
    assert written() == ["run.finished", "fault.outstanding"]
    fault_commands.acknowledge_fault(run.faults.get(), by="ann", reason="rebooted")
    assert written()[2:] == ["fault.resolved"]
    fault = json.loads(Delivery.objects.get(message="fault.resolved").payload)["data"]["fault"]
    assert (fault["action"], fault["state"], fault["reason"]) == (SLOWED, "acknowledged", "rebooted")


def test_run_stopped_before_it_began_writes_a_message() -> None:
    a_webhook()
    stored = run_commands.start_run(Telling().run.document, {}, origin="cli")
    assert run_commands.request_stop(stored, by="ann")
    assert written() == ["run.finished"]


def test_webhook_gets_its_messages_and_tags_only() -> None:
    a_webhook("pager", events=["fault.outstanding"])
    a_webhook("other", tags=["no-such-tag"])
    a_webhook("mine", tags=["latency", "no-such-tag"])
    a_webhook("off", is_enabled=False)
    telling = Telling()
    Scenario.objects.update(tags=["latency"])
    leases.append_event(telling.claim, Event(EventKind.RUN_STARTED, timezone.now()))
    assert [delivery.receiver for delivery in Delivery.objects.all()] == ["mine"]


def test_fault_window_writes_an_annotation_if_grafana_is_set(settings: Settings) -> None:
    settings.GRAFANA_URL = "http://127.0.0.1:3000"
    telling = Telling()
    telling.begin()
    injected_at, closed_at = telling.finish().faults.values_list("injected_at", "closed_at").get()
    assert injected_at is not None
    assert closed_at is not None
    message = json.loads(Delivery.objects.get().payload)
    assert message["time"] == round(injected_at.timestamp() * 1000)
    assert message["timeEnd"] == round(closed_at.timestamp() * 1000) >= message["time"]
    assert {"fault", "service:exchange", "scenario:exchange-latency"} < set(message["tags"])
    assert f"/admin/scenarios/run/{telling.run.id}/change/" in message["text"]
