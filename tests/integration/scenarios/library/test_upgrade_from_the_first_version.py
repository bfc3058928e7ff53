"""Rows as the first version left them: what they lack is filled by a migration."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from scenarios.models import Fault, Hold, Run, Scenario, Service
from tests.integration.scenarios.planned_rows import ADDRESS, DOCUMENT

pytestmark = pytest.mark.django_db
FILLING = importlib.import_module("scenarios.migrations.0023_fill_what_first_versions_left")


def old_run(**fields: Any) -> Run:
    given = {"scenario_name": "break-exchange", "document": DOCUMENT, "started_from": "cli", **fields}
    return Run.objects.create(**given)


def old_fault(run: Run, **undo: Any) -> Fault:
    return Fault.objects.create(
        run=run,
        order=1,
        phase="chaos",
        action="break it",
        driver="http",
        undo={"driver": "http", "arguments": undo},
        timeout=5,
        state="outstanding",
        opened_at=timezone.now(),
    )


def ended() -> Run:
    end = {"state": "finished", "outcome": "failed", "rollback": "dirty", "finished_at": timezone.now()}
    return old_run(**end)


@pytest.fixture(autouse=True)
def service() -> Service:
    return Service.objects.create(name="exchange", base_url=ADDRESS)


@pytest.mark.parametrize(
    "undo", [{"service": "exchange", "path": "/fault"}, {"url": f"{ADDRESS}/fault", "method": "DELETE"}]
)
def test_upgrade_creates_holds_for_left_faults(undo: dict[str, str]) -> None:
    fault = old_fault(ended(), **undo)
    FILLING.fill_holds(apps, None)
    fault.refresh_from_db()
    assert fault.services == ["exchange"]
    assert Hold.objects.get(service="exchange").run_id == fault.run_id


def test_upgrade_fills_services_of_unfinished_runs() -> None:
    waiting = old_run()
    running = old_run(state="running", lease_until=timezone.now())
    FILLING.fill_holds(apps, None)
    for run in (waiting, running):
        run.refresh_from_db()
        assert run.services == ["exchange"]
    assert Hold.objects.get().run == running


@pytest.mark.parametrize("document", ["", "no: {document", "- a list", "spec: {phases: 3}", "spec: null"])
def test_invalid_documents_do_not_stop_the_upgrade(document: str) -> None:
    run = old_run(document=document)
    FILLING.fill_holds(apps, None)
    run.refresh_from_db()
    assert run.services == []


def test_upgrade_adds_missing_first_versions() -> None:
    old = Scenario.objects.create(name="old", document="its document")
    Scenario.history.all().delete()
    Scenario.objects.create(name="new", document="another")
    FILLING.write_first_versions(apps, None)
    FILLING.write_first_versions(apps, None)
    assert [row.document for row in Scenario.history.filter(id=old.pk)] == ["its document"]
    assert Scenario.history.count() == 2
