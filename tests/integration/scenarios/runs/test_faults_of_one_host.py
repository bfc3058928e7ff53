"""Faults that only a process of the host they are on can undo; other hosts are played by another name."""

from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.models import Fault, Hold, Run
from scenarios.ports import Event
from scenarios.runs import faults as fault_commands
from scenarios.runs import leases, ledger, recovery
from scenarios.supervision import watchdog
from tests.integration.scenarios.runs.bound_runs import DOCUMENT, claim, queued

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Path) -> None:
    settings.ALLOWED_COMMANDS = ("sh",)
    settings.ALLOWED_PIDFILE_DIRS = (tmp_path,)
    settings.HOST_NAME = "alpha"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broken"


def broken_on_alpha(file: Path, document: str = DOCUMENT) -> Run:
    """A run whose worker on 'alpha' died with all of its faults injected."""
    document = document.replace("FILE", str(file))
    run = queued(document)
    claimed = claim(run)
    assert claimed is not None
    for action in build_plan(read_document(document), {}).phases[0].actions:
        assert action.undo is not None
        event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", action.name)
        fault = ledger.open_fault(
            claimed, event, do=action.do, undo=action.undo, proof=action.undone, timeout=5
        )
        ledger.mark_active(claimed, fault, event)
    file.touch()
    leases.expire_leases("dead:1")
    return Run.objects.get(id=run.id)


def states() -> dict[str, str]:
    return dict(Fault.objects.values_list("action", "state"))


def test_a_fault_row_says_which_host_it_is_on_where_its_undo_is_bound_to_one(file: Path) -> None:
    broken_on_alpha(file)
    found = dict(Fault.objects.values_list("action", "host"))
    assert found == {"break the host": "alpha", "break the rest": ""}


def test_another_host_undoes_the_other_faults_and_leaves_this_one_until_its_own_host_is_back(
    file: Path, settings: Settings
) -> None:
    run = broken_on_alpha(file)
    settings.HOST_NAME = "beta"
    ended = recovery.undo_now(run)
    assert ended is not None
    assert (ended.outcome, ended.rollback) == (Outcome.INTERRUPTED, Rollback.DIRTY)
    assert states() == {"break the host": FaultState.OUTSTANDING, "break the rest": FaultState.UNDONE}
    assert file.exists()
    assert "waiting for host 'alpha'" in Fault.objects.get(host="alpha").reason
    assert watchdog.list_runs_with_due_faults() == []
    assert Hold.objects.get().service == "host/alpha"
    settings.HOST_NAME = "alpha"
    with CaptureQueriesContext(connection) as asked:
        assert watchdog.list_runs_with_due_faults() == [ended]
    # PostgreSQL compares each of a million runs with a subquery, each second.
    assert [query["sql"] for query in asked if "IN (SELECT" in query["sql"]] == []
    back = recovery.undo_now(ended)
    assert back is not None
    assert back.rollback == Rollback.CLEAN
    assert not file.exists()
    assert not Hold.objects.exists()


def test_a_watchdog_of_another_host_never_carries_out_the_undo(file: Path, settings: Settings) -> None:
    broken_on_alpha(file)
    settings.HOST_NAME = "beta"

    async def look_twice() -> None:
        seen = watchdog.Watchdog()
        run = await Run.objects.aget()
        for _ in range(2):
            seen._begin(run, lambda: leases.take_over_run(run, worker="beta:1"))
            await seen.settle()

    async_to_sync(look_twice)()
    assert file.exists()
    fault = Fault.objects.get(host="alpha")
    assert (fault.state, fault.undo_tries) == (FaultState.OUTSTANDING, 0)
    assert Run.objects.get().state == RunState.FINISHED


def test_a_fault_that_waits_for_its_host_is_reported_once(file: Path, settings: Settings) -> None:
    run = broken_on_alpha(file)
    settings.HOST_NAME = "beta"
    for _ in range(3):
        run = recovery.undo_now(run) or run
    assert run.events.filter(kind="fault_waiting_for_host").count() == 1


def test_a_fault_of_a_silent_host_says_what_it_waits_for(file: Path, settings: Settings) -> None:
    run = broken_on_alpha(file)
    file.unlink()  # `rm` fails
    assert recovery.undo_now(run) is not None
    fault = Fault.objects.get(host="alpha")
    assert "exit code 1" in fault.reason
    settings.HOST_NAME = "beta"
    assert watchdog.list_runs_with_due_faults() == []
    Fault.objects.filter(pk=fault.pk).update(next_try_at=timezone.now() - timedelta(minutes=2))
    (late,) = watchdog.list_runs_with_due_faults()
    recovery.undo_now(late)
    assert "waiting for host 'alpha'" in Fault.objects.get(pk=fault.pk).reason
    assert watchdog.list_runs_with_due_faults() == []


def test_lists_pages_command_line_and_api_say_which_host_is_waited_for(
    file: Path, settings: Settings, admin_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    run = broken_on_alpha(file)
    settings.HOST_NAME = "beta"
    recovery.undo_now(run)
    fault = Fault.objects.get(host="alpha")
    pages = (
        reverse("admin:scenarios_fault_changelist"),
        reverse("admin:scenarios_fault_change", args=[fault.pk]),
        reverse("admin:scenarios_run_change", args=[run.pk]),
    )
    for page in pages:
        assert "waiting for host &#x27;alpha&#x27;" in admin_client.get(page).text
    told = admin_client.get(reverse("api:fault", args=[fault.pk])).json()
    assert (told["host"], told["reason"][:24]) == ("alpha", "waiting for host 'alpha'")
    call_command("scenario", "faults", "--outstanding", "--json")
    assert "waiting for host 'alpha'" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("scenario", "undo", run.short_id)
    assert "waiting for host 'alpha'" in " ".join(capsys.readouterr().out.split())
    again = admin_client.post(reverse("admin:scenarios_fault_retry", args=[fault.pk]), follow=True)
    assert "will be retried by the watchdog of host alpha as soon as it works" in again.text


def test_a_fault_that_waits_for_its_host_may_be_acknowledged_anywhere(file: Path, settings: Settings) -> None:
    run = broken_on_alpha(file)
    settings.HOST_NAME = "beta"
    recovery.undo_now(run)
    fault = Fault.objects.get(host="alpha")
    assert fault_commands.acknowledge_fault(fault, by="ann", reason="the machine was scrapped")
    assert Run.objects.get().rollback == Rollback.CLEAN


PROVED = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: proved}
spec:
  phases:
    - name: chaos
      actions:
        - name: break the rest
          do: {wait: {duration: 0s}}
          undo: {wait: {duration: 0s}}
          undone: {probe: {command: {run: [sh, -c, "exit 0"]}}, expect: {exit_code: 0}}
"""


def test_a_fault_whose_end_only_its_host_can_see_is_bound_to_it_too(file: Path) -> None:
    broken_on_alpha(file, PROVED)
    assert Fault.objects.get().host == "alpha"


def test_a_fault_that_was_undone_and_may_still_arrive_is_looked_after_by_its_own_host(
    file: Path, settings: Settings
) -> None:
    run = broken_on_alpha(file)
    recovery.undo_now(run)
    ago = timezone.now() - timedelta(minutes=1)
    waits = {"state": FaultState.UNVERIFIED, "late_seconds": 3600, "next_try_at": ago}
    until = timezone.now() + timedelta(hours=1)
    Fault.objects.filter(host="alpha").update(late_until=until, **waits)
    settings.HOST_NAME = "beta"
    assert watchdog.list_runs_with_due_faults() == []
    recovery.undo_now(Run.objects.get())
    assert Fault.objects.get(host="alpha").state == FaultState.UNVERIFIED
    settings.HOST_NAME = "alpha"
    assert watchdog.list_runs_with_due_faults() == [run]
