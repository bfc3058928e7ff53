"""A run is compared with earlier passed runs of its document, and fails where that is told to be too slow."""

import json
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.usual_values import Usual
from scenarios.models import Event as EventRow
from scenarios.models import Fault, Run, RunFigures
from scenarios.ports import Event
from scenarios.reports import render_report
from scenarios.runs import ledger, ledger_entries, lifecycle
from scenarios.runs.comparisons import Comparison, compare_run
from scenarios.runs.figures import FigureKey, digest_document, encode_figures
from scenarios.runs.history import read_history
from scenarios.runs.regressions import settle_figures
from scenarios.supervision import retention
from tests.integration.scenarios.story_rows import DOCUMENT, SLOWED, Telling

pytestmark = pytest.mark.django_db

BACK = "orders are quick again"
TWICE = {"time_to_recover": 2.0}


def carry_out(
    recovers: float, *, outcome: Outcome = Outcome.PASSED, limits: dict[str, float] | None = None
) -> Run:
    """A run that needs so many seconds to recover."""
    telling = Telling()
    telling.begin()
    for fault in ledger_entries.list_faults_to_undo(telling.claim):
        undone = Event(EventKind.FAULT_UNDONE, timezone.now(), "chaos", SLOWED)
        ledger.mark_undone(telling.claim, fault, undone)
    telling.tell("phase_started", phase="recovery")
    telling.tell("validation_started", BACK, phase="recovery")
    telling.tell("validation_passed", BACK, phase="recovery", time_to_pass=recovers)
    # Whatever time has passed since.
    started = EventRow.objects.get(run=telling.run, kind="validation_started", subject=BACK)
    Fault.objects.filter(run=telling.run).update(closed_at=started.at)
    verdict = Verdict(outcome, "every validation held", Rollback.CLEAN)
    verdict = settle_figures(telling.claim, limits or {}, verdict)
    return lifecycle.finish_run(telling.claim, verdict, timezone.now())


def store_earlier_runs(*recovered: float) -> None:
    """Passed runs that have needed so many seconds to recover, the newest last."""
    first = timezone.now() - timedelta(hours=1)
    for number, seconds in enumerate(recovered):
        at = first + timedelta(seconds=number)
        run = Run.objects.create(
            scenario_name="exchange-latency",
            document=DOCUMENT,
            started_from="cli",
            state="finished",
            outcome="passed",
            rollback="clean",
            finished_at=at,
        )
        figures = {
            FigureKey("time_to_recover"): seconds,
            FigureKey("time_to_detect"): 0.8,
            FigureKey("time_to_pass", "recovery", BACK): seconds,
        }
        RunFigures.objects.create(
            run=run,
            version=digest_document(DOCUMENT),
            outcome="passed",
            recorded_at=at,
            content=encode_figures(figures),
        )


def find_recovery(run: Run) -> Comparison:
    found = compare_run(read_history(run)).time_to_recover
    assert found is not None
    return found


def test_a_slow_recovery_is_unusual_and_its_neighbours_are_not() -> None:
    store_earlier_runs(1.8, 2.0, 2.2, 2.0, 2.1)
    slow, quick = carry_out(6.0), carry_out(2.1)
    assert find_recovery(slow).is_unusual
    assert not find_recovery(quick).is_unusual
    usual = find_recovery(slow).usual
    assert usual is not None
    assert (usual.middle, usual.count) == (2.0, 5)
    assert usual.deviation == pytest.approx(0.1)


def test_only_passed_runs_before_it_and_of_the_same_document_say_what_is_usual() -> None:
    first = carry_out(2.0)
    carry_out(50.0, outcome=Outcome.FAILED)
    other = carry_out(60.0)
    RunFigures.objects.filter(run=other).update(version="that of another document")
    last = carry_out(2.0)
    counts = [
        comparison.usual.count if comparison.usual else 0
        for comparison in (find_recovery(first), find_recovery(last))
    ]
    assert counts == [0, 1]


def test_runs_in_another_environment_do_not_say_what_is_usual() -> None:
    store_earlier_runs(*[2.0] * 5)
    Run.objects.update(environment="production")
    staging = carry_out(6.0, limits=TWICE)
    assert (staging.outcome, find_recovery(staging).usual) == (Outcome.PASSED, None)
    Run.objects.exclude(pk=staging.pk).update(environment="")
    usual = find_recovery(staging).usual
    assert usual is not None
    assert usual.count == 5


def test_the_last_20_runs_count() -> None:
    store_earlier_runs(*[50.0] * 5, *[1.0] * 20)
    assert find_recovery(carry_out(1.0)).usual == Usual(1.0, 0.0, 20)


def test_a_run_that_recovers_three_times_slower_fails_by_its_regression() -> None:
    store_earlier_runs(*[2.0] * 5)
    run = carry_out(6.0, limits=TWICE)
    assert run.outcome == Outcome.FAILED
    slower = "the time to recover was 6s, more than 2x the median of the last 5 passed runs of this document"
    assert run.reason == f"{slower}, 2s"
    assert carry_out(2.1, limits=TWICE).outcome == Outcome.PASSED
    suite = ET.fromstring(render_report(run, "junit")).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    (failure,) = suite.iter("failure")
    assert failure.get("message") == run.reason


def test_too_few_runs_are_no_regression() -> None:
    store_earlier_runs(*[2.0] * 4)
    assert carry_out(60.0, limits=TWICE).outcome == Outcome.PASSED


def test_a_run_that_did_not_pass_keeps_its_own_reason() -> None:
    store_earlier_runs(*[2.0] * 5)
    run = carry_out(60.0, limits=TWICE, outcome=Outcome.FAILED)
    assert run.reason == "every validation held"


def test_page_reports_and_api_say_what_is_usual(admin_client: Client) -> None:
    store_earlier_runs(*[2.0] * 5)
    run = carry_out(6.0)
    page = admin_client.get(reverse("admin:scenarios_run_change", args=[run.pk])).content.decode()
    for content in (page, render_report(run, "html").decode()):
        assert "usually 2" in content
        assert "▲ unusual" in content
        assert f"time to pass ({BACK})" in content
    content = json.loads(render_report(run, "json"))
    by_figure = {
        (comparison["figure"], comparison["validation"]): comparison for comparison in content["comparison"]
    }
    assert by_figure["time_to_recover", ""]["unusual"] is True
    assert by_figure["time_to_detect", ""]["unusual"] is False
    assert by_figure["time_to_pass", BACK] == {
        "figure": "time_to_pass",
        "phase": "recovery",
        "validation": BACK,
        "load": "",
        "value": 6.0,
        "usual": 2.0,
        "deviation": 0.0,
        "runs": 5,
        "unusual": True,
    }
    assert "usually 2s ⚠️ unusual" in render_report(run, "md").decode()
    assert admin_client.get(f"/api/v1/runs/{run.pk}").json()["comparison"] == content["comparison"]


def test_figures_are_deleted_with_their_run() -> None:
    carry_out(2.0)
    assert retention.prune(timezone.now(), at_most=10) == 1
    assert not RunFigures.objects.exists()
