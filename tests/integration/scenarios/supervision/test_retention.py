"""Old runs are deleted in batches; one that may have left something injected never is."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Step
from scenarios.models import Event as EventRow
from scenarios.models import Fault, Run, Scenario
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, ledger, lifecycle
from scenarios.supervision import retention

pytestmark = pytest.mark.django_db

DOCUMENT = (Path(__file__).parents[4] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
NOW = timezone.now()


def ended(days_ago: float, *, dirty: bool = False) -> Run:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    step = Step("http", {"service": "exchange", "path": "/x"})
    event = Event(EventKind.FAULT_INJECTING, NOW, "chaos", "slow")
    fault = ledger.open_fault(claim, event, do=step, undo=step, timeout=5)
    if not dirty:
        ledger.mark_undone(claim, fault, Event(EventKind.FAULT_UNDONE, NOW, "chaos", "slow"))
    rollback = Rollback.DIRTY if dirty else Rollback.CLEAN
    lifecycle.finish_run(claim, Verdict(Outcome.PASSED, "", rollback), NOW - timedelta(days=days_ago))
    return run


def test_runs_that_ended_earlier_are_deleted_with_their_events_and_faults_the_oldest_first() -> None:
    oldest, old, young = ended(100), ended(91), ended(89)
    before = NOW - timedelta(days=90)
    assert retention.prune(before, at_most=1) == 1
    assert not Run.objects.filter(id=oldest.id).exists()
    assert retention.prune(before, at_most=10) == 1
    assert list(Run.objects.all()) == [young]
    assert not EventRow.objects.filter(run=old.id).exists()
    assert not Fault.objects.filter(run=old.id).exists()


def test_a_run_with_an_outstanding_fault_is_kept_however_old_it_is() -> None:
    run = ended(1000, dirty=True)
    assert retention.prune(NOW, at_most=10) == 0
    assert Run.objects.get() == run


def test_a_run_that_has_not_ended_is_kept() -> None:
    run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert retention.prune(NOW + timedelta(days=1), at_most=10) == 0


def test_expired_sessions_are_deleted_in_batches() -> None:
    for number in range(3):
        Session.objects.create(session_key=f"old-{number}", expire_date=NOW - timedelta(minutes=1))
    Session.objects.create(session_key="young", expire_date=NOW + timedelta(minutes=1))
    assert [retention.prune_sessions(NOW, at_most=2) for _ in range(3)] == [2, 1, 0]
    assert Session.objects.get().session_key == "young"


def test_tasks_that_ended_long_ago_are_deleted_and_others_stay() -> None:
    rows = DBTaskResult.objects
    old, young = NOW - timedelta(days=91), NOW - timedelta(days=89)
    given = {"args_kwargs": {}, "task_path": "x", "backend_name": "default", "run_after": NOW}
    for status, ended in (
        ("SUCCESSFUL", old),
        ("FAILED", old),
        ("FAILED", young),
        ("RUNNING", None),
        ("READY", None),
    ):
        rows.create(status=status, finished_at=ended, **given)
    assert retention.prune_tasks(NOW - timedelta(days=90), at_most=10) == 2
    assert sorted(rows.values_list("status", flat=True)) == ["FAILED", "READY", "RUNNING"]


def test_old_entries_of_the_admin_log_are_deleted() -> None:
    user = User.objects.create_user("ann")
    for days in (401, 399):
        entry = LogEntry.objects.create(user=user, object_repr=str(days), action_flag=2)
        LogEntry.objects.filter(pk=entry.pk).update(action_time=NOW - timedelta(days=days))
    assert retention.prune_admin_log(NOW - timedelta(days=400), at_most=10) == 1
    assert LogEntry.objects.get().object_repr == "399"


def test_versions_are_deleted_only_of_scenarios_that_are_gone_as_long() -> None:
    kept, gone, gone_lately = (Scenario.objects.create(name=name, document="") for name in ("a", "b", "c"))
    versions = Scenario.history.model.objects
    versions.update(history_date=NOW - timedelta(days=500))
    gone.delete()
    versions.filter(name="b").update(history_date=NOW - timedelta(days=401))
    gone_lately.delete()
    before = NOW - timedelta(days=400)
    assert [retention.prune_versions(before, at_most=1) for _ in range(3)] == [1, 1, 0]
    assert set(versions.values_list("name", flat=True)) == {"a", "c"}
    assert kept.history.count() == 1
