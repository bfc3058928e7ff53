"""Runs that touch protected services begin only after a second person has approved them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from scenarios.domain.errors import CannotBegin, NotWaiting, OwnRequest
from scenarios.domain.outcomes import ApprovalState, Outcome, Rollback, RunState, Verdict
from scenarios.library import services as registered_services
from scenarios.models import Approval, Event, Run, Schedule
from scenarios.planning import approvals, due, schedules
from scenarios.reports import render_report
from scenarios.reports.data import build_content
from scenarios.reports.facts import collect_facts
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, lifecycle, task_queue
from tests.integration.scenarios.planned_rows import (
    ADDRESS,
    DOCUMENT,
    asked_run,
    exchange,
    minute,
    read_approval,
    scheduled,
    someone,
    stored,
)

pytestmark = pytest.mark.django_db

BY_URL = DOCUMENT.replace("service: exchange, ", f'url: "{ADDRESS}/x", ').replace(
    ', path: "/fault/${delay}"', ""
)
BY_URL = BY_URL.replace(", path: /fault", "")
BY_PORT = DOCUMENT[: DOCUMENT.index("          do:")] + "          do: {tcp: {host: 127.0.0.1, port: 9101}}\n"


@pytest.fixture
def ann() -> User:
    return someone("ann", "run_scenario", "approve_run")


@pytest.fixture
def bob() -> User:
    return someone("bob", "approve_run")


@pytest.fixture
def awaiting(ann: User) -> Run:
    exchange(is_protected=True)
    return asked_run(ann)


def claim(run: Run) -> leases.Claim | None:
    return leases.claim_run(run.id, run.attempt, worker="a:1")


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("sequence").values_list("kind", flat=True))


def test_a_run_that_touches_a_protected_service_waits_and_no_worker_can_claim_it(awaiting: Run) -> None:
    assert awaiting.state == RunState.AWAITING_APPROVAL
    assert awaiting.waiting_for == "it needs the approval of a second person: 'exchange' is protected"
    assert claim(awaiting) is None
    assert read_approval(awaiting).services == ["exchange"]
    assert kinds(awaiting) == ["approval_asked"]


@pytest.mark.parametrize("document", [BY_URL, BY_PORT], ids=["by its URL", "by its host and port"])
def test_an_address_says_as_much_as_a_name(ann: User, document: str) -> None:
    exchange(is_protected=True)
    run = asked_run(ann, document)
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["exchange"])


def test_a_second_name_for_its_address_opens_no_back_door(ann: User) -> None:
    exchange(is_protected=True)
    registered_services.register_service("alias", ADDRESS)
    assert asked_run(ann, DOCUMENT.replace("exchange", "alias")).state == RunState.AWAITING_APPROVAL


def test_a_run_on_other_services_and_one_that_only_looks_need_nobody(ann: User) -> None:
    exchange(is_protected=True)
    assert asked_run(ann, DOCUMENT.replace("exchange", "custodian")).state == RunState.QUEUED
    only_looks = DOCUMENT[: DOCUMENT.index("      actions")] + (
        "      validations: [{name: look, probe: {http: {service: exchange, path: /health}},"
        " expect: {status: 200}}]\n"
    )
    assert asked_run(ann, only_looks).state == RunState.QUEUED


def test_a_second_person_lets_it_begin_and_story_and_report_name_him(awaiting: Run, bob: User) -> None:
    approvals.approve(read_approval(awaiting), by=bob, reason="announced for tonight")
    assert claim(awaiting) is not None
    awaiting.refresh_from_db()
    assert kinds(awaiting) == ["approval_asked", "run_approved"]
    told = build_content(collect_facts(awaiting))["approval"]
    assert (told["asked_by"], told["decided_by"], told["state"]) == ("ann", "bob", "approved")
    assert told["reason"] == "announced for tonight"
    for name in ("html", "md"):
        assert "approved by bob" in render_report(awaiting, name).decode()


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_approves_their_own_request_not_even_a_superuser(superuser: bool) -> None:
    exchange(is_protected=True)
    carl = someone("carl", "approve_run", is_superuser=superuser)
    run = asked_run(carl)
    with pytest.raises(OwnRequest, match="'carl' requested this"):
        approvals.approve(read_approval(run), by=carl)
    run.refresh_from_db()
    assert run.state == RunState.AWAITING_APPROVAL


def test_a_refusal_ends_the_run_with_the_reason(awaiting: Run, bob: User) -> None:
    approvals.refuse(read_approval(awaiting), by=bob, reason="not during the audit")
    awaiting.refresh_from_db()
    assert (awaiting.outcome, awaiting.reason) == ("aborted", "refused by bob: not during the audit")
    given = read_approval(awaiting)
    assert (given.state, given.decided_by_name) == (ApprovalState.REFUSED, "bob")
    with pytest.raises(NotWaiting):
        approvals.approve(given, by=bob)


def test_a_run_that_nobody_approves_in_time_ends_and_can_no_longer_be_approved(
    awaiting: Run, bob: User
) -> None:
    now = timezone.now()
    assert approvals.expire(now) == 0
    Approval.objects.update(expires_at=now)
    with pytest.raises(NotWaiting):
        approvals.approve(read_approval(awaiting), by=bob)
    assert approvals.expire(now) == 1
    awaiting.refresh_from_db()
    assert awaiting.outcome == "aborted"
    assert awaiting.reason.startswith("nobody approved it within")
    assert read_approval(awaiting).state == ApprovalState.EXPIRED


def test_requester_may_stop_the_run_and_its_approval_is_withdrawn(awaiting: Run, bob: User) -> None:
    assert run_commands.request_stop(awaiting, by="ann")
    assert read_approval(awaiting).state == ApprovalState.WITHDRAWN
    with pytest.raises(NotWaiting):
        approvals.approve(read_approval(awaiting), by=bob)


def test_a_run_that_is_not_to_wait_is_refused_and_nothing_is_stored(ann: User) -> None:
    exchange(is_protected=True)
    with pytest.raises(CannotBegin, match="needs the approval of a second person"):
        asked_run(ann, wait=False)
    assert not Run.objects.exists()


def test_it_keeps_no_other_run_from_the_queue(awaiting: Run, ann: User) -> None:
    assert claim(asked_run(ann, DOCUMENT.replace("exchange", "custodian"))) is not None


def test_a_queued_run_whose_service_is_protected_meanwhile_waits_for_an_approval(
    ann: User, bob: User
) -> None:
    run = asked_run(ann)
    exchange(is_protected=True)
    assert claim(run) is None
    task_queue.enqueue_waiting_runs()
    run.refresh_from_db()
    assert run.state == RunState.AWAITING_APPROVAL
    approvals.approve(read_approval(run), by=bob)
    assert claim(run) is not None


def test_an_approval_is_for_the_services_it_names_and_no_others(awaiting: Run, bob: User) -> None:
    Run.objects.update(services=["exchange", "custodian"])
    approvals.approve(read_approval(awaiting), by=bob)
    custodian = registered_services.register_service("custodian", "http://127.0.0.1:9102")
    custodian.is_protected = True
    registered_services.save_service(custodian)
    assert claim(awaiting) is None
    task_queue.enqueue_waiting_runs()
    assert read_approval(awaiting).services == ["custodian"]
    assert read_approval(awaiting).state == ApprovalState.PENDING


def test_an_attempt_after_an_interruption_needs_no_second_approval(awaiting: Run, bob: User) -> None:
    approvals.approve(read_approval(awaiting), by=bob)
    claimed = claim(awaiting)
    assert claimed is not None
    again = lifecycle.queue_run_again(claimed, "its worker died", timezone.now())
    assert again is not None
    assert claim(again) is not None


def test_names_of_requester_and_approver_outlive_their_accounts(awaiting: Run, ann: User, bob: User) -> None:
    approvals.approve(read_approval(awaiting), by=bob)
    ann.delete()
    bob.delete()
    given = read_approval(awaiting)
    assert (given.asked_by_name, given.decided_by_name) == ("ann", "bob")


# Schedules


@pytest.fixture
def schedule(ann: User) -> Schedule:
    exchange(is_protected=True)
    stored(by=ann)
    return scheduled(ann, due=minute())


def reasons(schedule: Schedule) -> list[str]:
    return list(schedule.times.values_list("reason", flat=True))


def test_a_schedule_is_approved_once_and_then_needs_nobody(schedule: Schedule, bob: User) -> None:
    approvals.approve(schedule.approvals.get(), by=bob)
    due.start_due(minute())
    run = Run.objects.get()
    assert run.state == RunState.QUEUED
    assert read_approval(run).decided_by_name == "bob"
    assert kinds(run) == ["run_approved"]
    assert claim(run) is not None


def test_a_schedule_that_is_not_approved_is_skipped_with_the_reason(schedule: Schedule) -> None:
    due.start_due(minute())
    assert not Run.objects.exists()
    assert "the approval of the schedule is missing" in reasons(schedule)[0]


@pytest.mark.parametrize("what", ["scenario", "variables", "times", "protection"])
def test_any_change_of_the_approved_schedule_asks_again(
    schedule: Schedule, ann: User, bob: User, what: str
) -> None:
    approvals.approve(schedule.approvals.get(), by=bob)
    if what == "scenario":
        stored(DOCUMENT.replace("default: 5", "default: 6"), by=ann)
    elif what == "protection":
        stored(DOCUMENT.replace("service: exchange, method: D", "service: custodian, method: D"), by=ann)
    else:
        changes: dict[str, dict[str, Any]] = {
            "variables": {"variables": {"delay": 9}},
            "times": {"cron": "*/2 * * * *"},
        }
        for name, value in changes[what].items():
            setattr(schedule, name, value)
        schedules.save_schedule(schedule, by=ann)
    due.request_approvals()
    assert schedule.approvals.pending().count() == 1
    Schedule.objects.update(next_at=minute())
    due.start_due(minute())
    assert not Run.objects.exists()


def test_pause_and_watchdog_checks_do_not_ask_again(schedule: Schedule, bob: User) -> None:
    approvals.approve(schedule.approvals.get(), by=bob)
    schedules.pause(schedule, paused=True)
    schedules.pause(schedule, paused=False)
    due.request_approvals()
    assert schedule.approvals.count() == 1


def test_author_of_the_scenario_cannot_approve_its_schedule(ann: User, bob: User) -> None:
    exchange(is_protected=True)
    stored(by=bob)
    schedule = scheduled(ann)
    with pytest.raises(OwnRequest):
        approvals.approve(schedule.approvals.get(), by=bob)
    with pytest.raises(OwnRequest):
        approvals.approve(schedule.approvals.get(), by=ann)


def test_schedule_that_changed_during_the_review_cannot_be_approved(schedule: Schedule, bob: User) -> None:
    asked = schedule.approvals.get()
    stored(DOCUMENT.replace("default: 5", "default: 50"))
    with pytest.raises(NotWaiting, match="has changed since"):
        approvals.approve(asked, by=bob)


def test_a_refused_schedule_is_not_asked_for_again_until_it_is_changed(
    schedule: Schedule, ann: User, bob: User
) -> None:
    approvals.refuse(schedule.approvals.get(), by=bob, reason="too often")
    due.request_approvals()
    assert schedule.approvals.pending().count() == 0
    schedule.cron = "0 3 * * *"
    schedules.save_schedule(schedule, by=ann)
    assert schedule.approvals.pending().count() == 1


def test_a_finished_run_is_left_alone_when_its_service_is_protected(ann: User) -> None:
    claimed = claim(asked_run(ann))
    assert claimed is not None
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, "", Rollback.CLEAN), timezone.now())
    exchange(is_protected=True)
    assert task_queue.enqueue_waiting_runs() == 0
    assert Run.objects.get().state == RunState.FINISHED


def test_an_approval_lasts_as_long_as_the_setting_says(ann: User, settings: object) -> None:
    settings.APPROVAL_HOURS = 2  # type: ignore[attr-defined]
    exchange(is_protected=True)
    asked = read_approval(asked_run(ann))
    assert asked.expires_at is not None
    assert asked.expires_at - asked.asked_at == timedelta(hours=2)
