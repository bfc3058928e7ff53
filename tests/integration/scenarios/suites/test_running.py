"""A suite runs one cell after another, from the database alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.domain.suite_states import CellState, SuiteOutcome, SuiteRunState, TriedState
from scenarios.models import Approval, Run, Scenario, Service, Suite, SuiteRun, TriedCell
from scenarios.planning import approvals
from scenarios.runs import global_stop
from scenarios.runs.commands import request_stop
from scenarios.suites.running import advance, advance_all, request_suite_stop, start_suite
from scenarios.suites.storage import SuiteIsRunning
from tests.integration.scenarios.suites.ended_runs import end_run
from tests.integration.scenarios.suites.suite_rows import (
    REFUSED,
    SLOW,
    TWO_CELLS,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def suite() -> Suite:
    register_services()
    save_catalogue(SLOW, REFUSED)
    return store_suite(TWO_CELLS)


def find_current(suite_run: SuiteRun) -> Run:
    cell = suite_run.cells.get(state=TriedState.RUNNING)
    assert cell.run is not None
    return cell.run


def list_states(suite_run: SuiteRun) -> list[str]:
    return list(suite_run.cells.values_list("state", flat=True))


def test_cells_run_one_after_another_and_the_matrix_has_their_evidence(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    first = find_current(suite_run)
    assert (first.scenario_name, first.variables["dependency"]) == ("dependency-slow", "shop-db")
    assert first.started_from == "cli"
    advance_all()
    assert list_states(suite_run) == [TriedState.RUNNING, TriedState.WAITING]
    end_run(first, Outcome.PASSED, noticed=True)
    advance_all()
    assert list_states(suite_run) == [TriedState.DEGRADED, TriedState.RUNNING]
    second = find_current(suite_run)
    end_run(second, Outcome.PASSED)
    advance_all()
    suite_run.refresh_from_db()
    assert (suite_run.state, suite_run.outcome) == (SuiteRunState.FINISHED, SuiteOutcome.PASSED)
    assert suite_run.reason == "1 survived, 1 degraded"
    cells = list(suite.cells.values_list("state", "run", "reason"))
    assert cells == [
        (CellState.DEGRADED, first.pk, "users noticed: status is 503"),
        (CellState.SURVIVED, second.pk, ""),
    ]
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    ("end", "state", "outcome"),
    [
        ({"outcome": Outcome.FAILED, "reason": "too slow"}, TriedState.FAILED, SuiteOutcome.FAILED),
        ({"outcome": Outcome.FAILED, "broken": False}, TriedState.ERRORED, SuiteOutcome.ERRORED),
        ({"outcome": Outcome.ERRORED, "broken": False}, TriedState.SKIPPED, SuiteOutcome.PASSED),
        ({"outcome": Outcome.ERRORED}, TriedState.ERRORED, SuiteOutcome.ERRORED),
        ({"outcome": Outcome.INTERRUPTED}, TriedState.ERRORED, SuiteOutcome.ERRORED),
        ({"outcome": Outcome.TIMED_OUT}, TriedState.ERRORED, SuiteOutcome.ERRORED),
    ],
)
def test_result_of_a_run_decides_its_cell(
    suite: Suite, end: dict[str, Any], state: TriedState, outcome: SuiteOutcome
) -> None:
    suite_run = start_suite(suite, origin="cli")
    end_run(find_current(suite_run), Outcome.PASSED)
    advance(suite_run.id)
    end_run(find_current(suite_run), **end)
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert list_states(suite_run)[1] == state
    assert suite_run.outcome == outcome
    in_matrix = suite.cells.get(fault="refused").state
    assert in_matrix == (CellState.FAILED if state == TriedState.FAILED else CellState.NEVER_TRIED)


def test_a_run_that_proves_nothing_leaves_the_last_proof(suite: Suite) -> None:
    for outcome in (Outcome.PASSED, Outcome.ERRORED):
        suite_run = start_suite(suite, origin="cli")
        for _ in range(2):
            end_run(find_current(suite_run), outcome)
            advance(suite_run.id)
    assert set(suite.cells.values_list("state", flat=True)) == {CellState.SURVIVED}


def test_faults_that_cannot_be_injected_are_skipped_with_the_reason(suite: Suite) -> None:
    Service.objects.filter(name="cache").update(proxy="")
    suite_run = start_suite(suite, origin="cli")
    end_run(find_current(suite_run), Outcome.PASSED)
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.PASSED
    skipped = suite_run.cells.get(state=TriedState.SKIPPED)
    assert (skipped.dependency, skipped.reason) == ("cache", "'cache' names no fault proxy")
    assert suite.cells.get(dependency="cache").obstacle == "'cache' names no fault proxy"


def test_a_suite_in_which_nothing_can_be_tried_proves_nothing(suite: Suite) -> None:
    Scenario.objects.all().delete()
    suite_run = start_suite(suite, origin="cli")
    assert (suite_run.state, suite_run.outcome) == (SuiteRunState.FINISHED, SuiteOutcome.ERRORED)
    assert "is not stored" in suite_run.cells.first().reason  # type: ignore[union-attr]


def test_scenarios_and_services_may_vanish_while_the_suite_runs(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    run = find_current(suite_run)
    Scenario.objects.filter(name="dependency-refuses-connections").delete()
    end_run(run, Outcome.PASSED)
    advance(suite_run.id)
    assert suite_run.cells.get(fault="refused").reason == "its scenario is not stored any more"
    again = start_suite(suite, origin="cli")
    Service.objects.filter(name="shop-db").delete()
    Run.objects.filter(pk=find_current(again).pk).delete()
    advance(again.id)
    again.refresh_from_db()
    assert again.cells.get(fault="slow").reason == "its run was deleted"
    assert again.outcome == SuiteOutcome.ERRORED


def test_a_suite_that_is_changed_while_it_runs_goes_on_as_it_began(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    store_suite(TWO_CELLS.replace("[refused]", "[hanging]"))
    for _ in range(2):
        end_run(find_current(suite_run), Outcome.PASSED)
        advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.PASSED
    states = dict(suite.cells.values_list("fault", "state"))
    assert states == {"slow": CellState.SURVIVED, "hanging": CellState.NEVER_TRIED}


def test_a_suite_runs_once_at_a_time(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    with pytest.raises(SuiteIsRunning, match=suite_run.short_id):
        start_suite(suite, origin="cli")
    assert SuiteRun.objects.count() == 1
    assert TriedCell.objects.count() == 2


def test_a_stop_ends_the_run_of_the_suite_and_the_run_of_its_cell(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    assert request_suite_stop(suite_run, by="ada")
    run = Run.objects.get()
    assert (run.outcome, run.stop_requested_by) == (Outcome.ABORTED, "ada")
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.ABORTED
    assert suite_run.reason.startswith("stopped by ada")
    assert not request_suite_stop(suite_run, by="ada")
    assert Run.objects.count() == 1


def test_a_person_who_stops_a_run_stops_its_suite(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    request_stop(find_current(suite_run), by="ada")
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.ABORTED
    assert "was stopped by ada" in suite_run.reason


def test_the_global_stop_ends_a_suite_and_keeps_another_waiting(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    run = find_current(suite_run)
    global_stop.pull_global_stop(by="ada", reason="an incident")
    advance(suite_run.id)
    assert find_current(suite_run) == run  # it has not begun, and waits for the release
    end_run(run, Outcome.ABORTED)
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.ABORTED
    assert "an incident" in suite_run.reason


def test_a_run_that_waits_for_its_approval_keeps_the_suite_waiting_and_a_refusal_ends_it(
    suite: Suite,
) -> None:
    Service.objects.filter(name="shop-db").update(is_protected=True, protected_since=timezone.now())
    ada, bob = (User.objects.create_superuser(name) for name in ("ada", "bob"))
    suite_run = start_suite(suite, origin="admin", by=ada)
    run = find_current(suite_run)
    assert run.state == RunState.AWAITING_APPROVAL
    advance(suite_run.id)
    assert list_states(suite_run) == [TriedState.RUNNING, TriedState.WAITING]
    approvals.refuse(Approval.objects.get(run=run), by=bob, reason="not today")
    advance(suite_run.id)
    suite_run.refresh_from_db()
    assert suite_run.outcome == SuiteOutcome.ABORTED
    assert "not today" in suite_run.reason


def test_a_proof_is_fresh_for_the_time_of_the_suite(suite: Suite) -> None:
    suite_run = start_suite(suite, origin="cli")
    end_run(find_current(suite_run), Outcome.PASSED)
    advance(suite_run.id)
    cell = suite.cells.get(fault="slow")
    assert cell.proved_at is not None
    assert cell.fresh_until == cell.proved_at + timedelta(days=30)
    assert not suite.cells.stale(timezone.now()).exists()
    assert suite.cells.stale(timezone.now() + timedelta(days=31)).get() == cell
