"""Which answers count as done, seen in the ledger, the outcome and the reports of whole runs."""

import sys
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from pytest_django.fixtures import Settings

from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.library import services as registered_services
from scenarios.models import Fault, Run
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, recovery
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: answers}\nspec:\n  phases:\n"
FAULT = (
    HEAD
    + """
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault%s}}
"""
)
COMMAND = (
    HEAD
    + """
    - name: load
      actions:
        - name: run the load
          do: {command: {run: [%s, -c, 'raise SystemExit(%d)']%s}}
%s
"""
)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    monkeypatch.setattr("scenarios.engine.injection.UNDO_DELAYS", ())
    with running_target() as running:
        registered_services.register_service("target", running.url)
        yield running


def carried_out(source: str) -> Run:
    run = run_commands.start_run(source, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308, 500])
def test_an_undo_that_is_answered_so_leaves_the_fault_in_the_ledger(target: Target, status: int) -> None:
    target.undo_status = status
    run = carried_out(FAULT % "")
    assert (run.rollback, target.active) == (Rollback.DIRTY, 1)
    fault = Fault.objects.get()
    assert fault.state == FaultState.OUTSTANDING
    assert f"answered {status} to DELETE /fault" in fault.reason
    target.undo_status = 200
    assert recovery.undo_now(run) is not None
    assert (Fault.objects.get().state, target.active) == (FaultState.UNDONE, 0)


@pytest.mark.parametrize(("status", "ok"), [(404, ""), (410, ""), (409, ", ok: [200, 409]")])
def test_an_undo_that_finds_nothing_or_is_called_ok_closes_the_fault(
    target: Target, status: int, ok: str
) -> None:
    target.undo_status = status
    run = carried_out(FAULT % ok)
    assert (run.outcome, run.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    assert Fault.objects.get().state == FaultState.UNDONE


@pytest.mark.parametrize("expect", ["", "expect: {status: 201}"])
def test_a_gateway_that_gave_up_leaves_a_fault_that_may_still_arrive(target: Target, expect: str) -> None:
    target.gateway_status = 504
    run = carried_out(FAULT.replace("          undo:", f"          {expect}\n          undo:") % "")
    assert run.outcome == (Outcome.FAILED if expect else Outcome.ERRORED)
    assert (run.rollback, Fault.objects.get().state) == (Rollback.UNVERIFIED, FaultState.UNVERIFIED)


def test_an_expected_answer_of_a_gateway_counts_as_an_answer(target: Target) -> None:
    target.gateway_status = 504
    source = FAULT.replace("          undo:", "          expect: {status: 504}\n          undo:") % ""
    run = carried_out(source)
    assert (run.outcome, run.rollback) == (Outcome.PASSED, Rollback.CLEAN)


def test_a_fault_that_is_not_there_is_watched_while_it_may_still_arrive(
    target: Target,
) -> None:
    target.gateway_status = 504
    target.undo_status = 404
    run = carried_out(FAULT % "")
    assert (run.rollback, Fault.objects.get().state) == (Rollback.CLEAN, FaultState.WATCHED)


@pytest.mark.parametrize(
    ("code", "ok", "expect", "outcome"),
    [
        (0, "", "", Outcome.PASSED),
        (99, "", "", Outcome.ERRORED),
        (99, "", "expect: {exit_code: 0}", Outcome.FAILED),
        (99, ", ok: [0, 99]", "expect: {exit_code: 0}", Outcome.FAILED),
        (98, ", ok: [0, 99]", "expect: {exit_code: 0}", Outcome.ERRORED),
        (99, ", ok: [0, 99]", "", Outcome.PASSED),
        (99, "", "expect: {exit_code: {in: [0, 99]}}", Outcome.PASSED),
        (0, "", "expect: {stdout: {contains: done}}", Outcome.FAILED),
    ],
)
def test_a_command_passes_fails_or_is_errored(
    settings: Settings, code: int, ok: str, expect: str, outcome: Outcome
) -> None:
    settings.ALLOWED_COMMANDS = (sys.executable,)
    run = carried_out(COMMAND % (sys.executable, code, ok, f"          {expect}"))
    assert run.outcome == outcome, run.reason
    suite = ET.fromstring(render_report(run, "junit")).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    failures, errors = int(suite.get("failures", "")), int(suite.get("errors", ""))
    assert (failures, errors) == (outcome == Outcome.FAILED, outcome == Outcome.ERRORED)
