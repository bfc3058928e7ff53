"""Whole runs on a real database against a real service: they always end, with their faults undone."""

import html
import json
import re
import socket
from collections.abc import Iterator

import pytest

from metrics_app.backend import get_metrics
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.library import services as registered_services
from scenarios.models import Event, Fault, Run, RunFigures
from scenarios.published.records import format_time, record_fault
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, recovery
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: breaking}}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {{http: {{service: target, method: POST, path: /fault}}}}
          undo: {{http: {{service: target, method: DELETE, path: /fault}}}}
      validations:
        - name: it answers
          timeout: {timeout}
          probe: {{http: {{service: {service}, path: {path}}}}}
          expect: {expect}
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        registered_services.register_service("target", running.url)
        yield running


def carried_out(
    path: str, expect: str = "{status: 200}", *, service: str = "target", timeout: str = "2m"
) -> Run:
    source = DOCUMENT.format(path=path, expect=expect, service=service, timeout=timeout)
    run = run_commands.start_run(source, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def test_a_run_is_carried_out_and_its_events_record_it(target: Target) -> None:
    run = carried_out("/health")
    assert (run.state, run.outcome, run.rollback) == (RunState.FINISHED, Outcome.PASSED, Rollback.CLEAN)
    assert (target.injected, target.undone, target.active) == (1, 1, 0)
    kinds = list(run.events.values_list("kind", flat=True))
    assert kinds.index("fault_injecting") < kinds.index("fault_injected") < kinds.index("fault_undone")
    assert kinds[-1] == "run_finished"
    assert Fault.objects.get().state == FaultState.UNDONE


def test_reports_list_what_was_left_out(target: Target) -> None:
    source = DOCUMENT.format(path="/health", expect="{status: 200}", service="target", timeout="2m")
    source = source.replace("- name: break it", "- name: break it\n          when: false")
    source += "    - name: later\n      when: false\n      validations:\n"
    source += "        - {name: gone, probe: {http: {service: target}}, expect: {status: 200}}\n"
    run = run_commands.start_run(source, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    assert (ended.outcome, target.injected) == (Outcome.PASSED, 0)
    for kind in ("html", "md"):
        text = html.unescape(render_report(ended, kind).decode())
        assert "action 'break it' of phase 'chaos', phase 'later'" in text
    assert json.loads(render_report(ended, "json"))["left_out"] == [
        {"kind": "action", "phase": "chaos", "name": "break it"},
        {"kind": "phase", "phase": "later", "name": "later"},
    ]
    junit = render_report(ended, "junit").decode()
    assert re.search(r'name="gone"[^>]*>\s*<skipped message="left out', junit)


def test_ids_of_run_and_fault_are_sent_and_kept(target: Target) -> None:
    ids = '"/fault?run=${run.id}&fault=${fault.id}"'
    source = DOCUMENT.format(path="/health", expect="{status: 200}", service="target", timeout="2m")
    source = source.replace("/fault", ids)
    run = run_commands.start_run(source, {}, origin="cli")
    assert executor.carry_out(str(run.id), run.attempt) is not None
    fault = Fault.objects.get()
    assert len(fault.fault_id) == 32
    assert fault.undo["arguments"]["path"] == f"/fault?run={run.id}&fault={fault.fault_id}"
    assert record_fault(fault).fault_id == fault.fault_id
    assert (
        executor.build_run_plan(run)
        .phases[0]
        .actions[0]
        .do.arguments["path"]
        .startswith(f"/fault?run={run.id}")
    )


@pytest.mark.parametrize(
    ("path", "expect", "words"),
    [
        ("/late", "{status: 200}", "no answer within 500ms"),
        ("/garbage", "{status: 200}", "that is not HTTP"),
        ("/huge", "{body: {contains: y}}", "the body was cut after 1048576 bytes"),
        ("/odd", "{status: 500}", "200"),
    ],
)
def test_a_service_that_answers_badly_fails_the_run_with_a_reason_and_its_faults_are_undone(
    target: Target, path: str, expect: str, words: str
) -> None:
    run = carried_out(path, expect, timeout="500ms" if path == "/late" else "2m")
    assert run.outcome == Outcome.FAILED
    assert words in run.reason
    assert run.rollback == Rollback.CLEAN
    assert target.active == 0


def test_a_service_that_cannot_be_reached_fails_the_run_with_its_address_in_the_reason(
    target: Target,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        registered_services.register_service("gone", f"http://127.0.0.1:{port}")
        run = carried_out("/health", service="gone")
    assert run.outcome == Outcome.FAILED
    assert f"127.0.0.1:{port}" in run.reason
    assert (run.rollback, target.active) == (Rollback.CLEAN, 0)


def test_unstorable_results_are_kept_in_a_storable_form(target: Target) -> None:
    run = carried_out("/odd", '{json: {"$.text": never}}')
    assert run.outcome == Outcome.FAILED
    seen = Event.objects.get(run=run, kind="validation_failed").detail["seen"]
    assert "NUL \ufffd half \ufffd" in str(seen)


def test_a_fault_whose_undo_fails_stays_outstanding_until_a_person_retries_it(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.engine.injection.UNDO_DELAYS", (0.01,))
    target.refuse_undo = True
    run = carried_out("/health")
    assert (run.outcome, run.rollback) == (Outcome.ERRORED, Rollback.DIRTY)
    assert Fault.objects.outstanding().get().undo_tries >= 2
    target.refuse_undo = False
    again = recovery.undo_now(run)
    assert again is not None
    assert again.rollback == Rollback.CLEAN
    assert target.active == 0


def test_the_scenario_metrics_count_the_run(target: Target) -> None:
    carried_out("/health")
    exposition = get_metrics().get_http_handler()().decode()
    for line in (
        'scenario_runs_total{instance="test-coordinator",outcome="passed",scenario="breaking"',
        'scenario_chaos_events_total{driver="http",event="injected"',
        'scenario_chaos_events_total{driver="http",event="undone"',
        "scenario_validations_total{",
        "scenario_run_duration_seconds_bucket{",
    ):
        assert line in exposition


def test_every_look_of_a_run_is_in_its_report(target: Target) -> None:
    run = carried_out("/health", "{status: 200, elapsed: {below: 400}}")
    (validation,) = json.loads(render_report(run, "json"))["validations"]
    assert (validation["name"], validation["verdict"], validation["about"]) == (
        "it answers",
        "passed",
        "target",
    )
    (look,) = validation["looks"]
    assert look["holds"] is True
    assert 0 < look["elapsed"] < 400
    assert run.claimed_at is not None
    assert run.finished_at is not None
    assert format_time(run.claimed_at) <= look["at"] <= format_time(run.finished_at)


def test_figures_of_a_run_are_kept_when_it_ends(target: Target) -> None:
    run = carried_out("/health")
    assert RunFigures.objects.get(run=run).outcome == run.outcome == Outcome.PASSED
