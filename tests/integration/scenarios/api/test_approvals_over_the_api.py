"""Approvals over the API: what waits, what it would break, and what a second person says."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from scenarios.models import Approval, Run
from scenarios.planning import approvals
from tests.integration.scenarios import planned_rows
from tests.integration.scenarios.api.conftest import Program, program, read_problem
from tests.integration.scenarios.api.test_lists import rows_of_all_pages

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(db: None) -> User:
    return planned_rows.someone("bob", "run_scenario", "approve_run")


@pytest.fixture
def run(bob: User) -> Run:
    """It waits for a second person, bob having asked for it."""
    planned_rows.exchange(is_protected=True)
    return planned_rows.asked_run(bob)


def place(run: Run) -> str:
    return f"approvals/{planned_rows.read_approval(run).pk}"


def test_waiting_run_names_its_approval(ci: Program, run: Run) -> None:
    told = ci.get(f"runs/{run.pk}").json()
    assert (told["status"], told["approval"]) == ("awaiting_approval", planned_rows.read_approval(run).pk)


def test_approval_lists_the_steps_of_the_plan(ci: Program, run: Run) -> None:
    told = ci.get(place(run)).json()
    assert (told["state"], told["run"], told["schedule"]) == ("pending", str(run.pk), None)
    assert (told["scenario"], told["services"]) == ("break-exchange", ["exchange"])
    assert (told["asked_by"], told["decided_by"], told["problem"]) == ("bob", "", "")
    assert [(step["role"], step["name"]) for step in told["steps"]] == [
        ("do", "break it"),
        ("undo", "break it"),
    ]
    assert "/fault/5" in told["steps"][0]["arguments"]


def test_approved_run_is_queued(ci: Program, run: Run) -> None:
    told = ci.post(f"{place(run)}/approve", {"reason": "the market is closed"}).json()
    assert (told["state"], told["decided_by"], told["reason"]) == (
        "approved",
        "admin",
        "the market is closed",
    )
    assert ci.get(f"runs/{run.pk}").json()["status"] == "queued"
    read_problem(ci.post(f"{place(run)}/approve", {}), 409)
    read_problem(ci.post(f"{place(run)}/refuse", {"reason": "too late"}), 409)


def test_refusal_ends_the_run_with_the_reason(ci: Program, run: Run) -> None:
    for reason in ("", "  \n"):
        found = read_problem(ci.post(f"{place(run)}/refuse", {"reason": reason}), 422)
        assert found["errors"][0]["path"].endswith("reason")
    assert ci.post(f"{place(run)}/refuse", {"reason": "not today"}).json()["state"] == "refused"
    told = ci.get(f"runs/{run.pk}").json()
    assert (told["status"], told["reason"]) == ("aborted", "refused by admin: not today")


def test_requester_cannot_approve(bob: User, run: Run) -> None:
    found = read_problem(program(bob).post(f"{place(run)}/approve", {}), 403)
    assert "a second person must approve it" in found["detail"]
    assert Approval.objects.get().state == "pending"


def test_approving_needs_permission_and_scope(ci: Program, admin_user: User, run: Run) -> None:
    runner = planned_rows.someone("eve", "run_scenario", "view_approval")
    for asking in (program(runner), program(admin_user, "read", "run", "stop")):
        assert asking.get(place(run)).status_code == 200
        for word, body in (("approve", {}), ("refuse", {"reason": "no"})):
            found = read_problem(asking.post(f"{place(run)}/{word}", body), 403)
            assert approvals.PERMISSION in found["detail"]
    assert Approval.objects.get().state == "pending"
    read_problem(program(runner, "approve").get("approvals"), 403)


def test_expired_approvals_cannot_be_decided(ci: Program, run: Run) -> None:
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in read_problem(ci.post(f"{place(run)}/approve", {}), 409)["detail"]
    assert ci.get(f"runs/{run.pk}").json()["status"] == "awaiting_approval"


def test_changed_schedule_needs_a_new_approval(ci: Program, bob: User) -> None:
    planned_rows.stored()
    planned_rows.exchange(is_protected=True)
    schedule = planned_rows.scheduled(bob)
    address = f"approvals/{Approval.objects.get().pk}"
    told = ci.get(address).json()
    assert (told["schedule"], told["run"], told["scenario"]) == ("nightly", None, "break-exchange")
    schedule.cron = "0 5 * * *"
    schedule.save()
    assert "changed" in read_problem(ci.post(f"{address}/approve", {}), 409)["detail"]


def test_approval_of_a_deleted_scenario_shows_the_problem(ci: Program, bob: User) -> None:
    scenario = planned_rows.stored()
    planned_rows.exchange(is_protected=True)
    planned_rows.scheduled(bob)
    scenario.delete()
    told = ci.get(f"approvals/{Approval.objects.get().pk}").json()
    assert (told["steps"], told["problem"]) == ([], "The scenario has been deleted.")


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_pending_approvals_come_first_on_complete_pages(ci: Program, bob: User, run: Run, limit: int) -> None:
    runs = [run, *(planned_rows.asked_run(bob) for _ in range(4))]
    for decided in (runs[1], runs[4]):
        assert ci.post(f"{place(decided)}/refuse", {"reason": "no"}).status_code == 200
    found = [row["run"] for row in rows_of_all_pages(ci, "approvals", limit)]
    assert found == [str(runs[number].pk) for number in (3, 2, 0, 4, 1)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        *[("state=pending", 1), ("state=refused", 0), ("asked_by=bob", 1), ("asked_by=ada", 0)],
        *[("schedule=nightly", 0), ("run=00000000-0000-0000-0000-000000000000", 0)],
    ],
)
def test_approvals_are_filtered(ci: Program, run: Run, query: str, found: int) -> None:
    assert len(ci.get(f"approvals?{query}").json()["items"]) == found
    assert len(ci.get(f"approvals?run={run.pk}").json()["items"]) == 1


def test_repeated_decision_with_the_same_key_counts_once(ci: Program, run: Run) -> None:
    key = {"Idempotency-Key": "yes-1"}
    first = ci.post(f"{place(run)}/approve", {}, **key)
    again = ci.post(f"{place(run)}/approve", {}, **key)
    assert (first.status_code, again.content, again["Idempotency-Replayed"]) == (200, first.content, "true")


@pytest.mark.parametrize(("number", "status"), [("0", 422), (str(2**63), 422), ("x", 404)])
def test_ids_beyond_the_range_are_refused(ci: Program, number: str, status: int) -> None:
    read_problem(ci.get(f"approvals/{number}"), status)
    read_problem(ci.get(f"approvals/{2**63 - 1}"), 404)
