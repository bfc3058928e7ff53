"""The report as JSON."""

from datetime import datetime
from typing import Any

from scenarios.charts.kept import Chart
from scenarios.domain.outputs import json_text
from scenarios.models import Approval, Fault
from scenarios.pictures.run_charts import Views
from scenarios.reports.facts import Facts
from scenarios.runs.history import StepStory


def written(facts: Facts) -> str:
    return json_text(content(facts), indent=2, ensure_ascii=False) + "\n"


def content(facts: Facts) -> dict[str, Any]:
    run, story = facts.run, facts.story
    return {
        "run": str(run.pk),
        "scenario": run.scenario_name,
        "title": facts.title,
        "description": facts.description,
        "state": run.state,
        "outcome": run.outcome,
        "rollback": run.rollback,
        "reason": run.reason,
        "variables": run.variables,
        "started_by": str(run.started_by or ""),
        "started_from": run.started_from,
        "schedule": str(run.schedule or ""),
        "approval": _approval(facts.approval) if facts.approval else None,
        "attempt": run.attempt,
        "queued_at": _moment(run.queued_at),
        "began_at": _moment(run.claimed_at),
        "finished_at": _moment(run.finished_at),
        "seconds": run.took.total_seconds() if run.took else None,
        "time_to_detect_seconds": story.time_to_detect,
        "time_to_recover_seconds": story.time_to_recover,
        "phases": [
            {"name": phase.name, "began_at": _moment(phase.began), "ended_at": _moment(phase.ended)}
            for phase in story.phases
        ],
        "faults": [_fault(fault) for fault in story.faults],
        "steps": [_step(step, facts) for step in story.steps],
        "charts": _charts(facts.charts),
        "version": facts.version,
        "document": run.document,
    }


def _approval(approval: Approval) -> dict[str, Any]:
    return {
        "state": approval.state,
        "services": approval.services,
        "asked_by": approval.asked_by_name,
        "asked_at": _moment(approval.asked_at),
        "decided_by": approval.decided_by_name,
        "decided_at": _moment(approval.decided_at),
        "reason": approval.reason,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "order": fault.order,
        "phase": fault.phase,
        "action": fault.action,
        "driver": fault.driver,
        "service": fault.service,
        "host": fault.host,
        "state": fault.state,
        "late_until": _moment(fault.late_until),
        "reason": fault.reason,
        "acknowledged_by": fault.acknowledged_by,
        "injected_at": _moment(fault.injected_at),
        "closed_at": _moment(fault.closed_at),
        "undo_tries": fault.undo_tries,
    }


def _step(step: StepStory, facts: Facts) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "phase": step.phase,
        "name": step.name,
        "verdict": step.verdict,
        "reason": step.reason,
        "began_at": _moment(step.began),
        "ended_at": _moment(step.ended),
        "attempts": step.attempts,
        "time_to_pass_seconds": step.time_to_pass,
        "seen": facts.output_of(step),
    }


def _charts(charts: Views) -> dict[str, Any]:
    """`values` are one for each of `moments`, which are Unix seconds: null where there was no sample."""
    return {
        "read_at": _moment(charts.read_at),
        "complete": charts.complete,
        "drawn": [_chart(view.chart) for view in charts.drawn],
        "without": [{"why": why, "charts": list(names)} for why, names in charts.without.items()],
        "left_out": list(charts.left_out),
    }


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "about": chart.about,
        "query": chart.query,
        "unit": chart.unit,
        "server": chart.server,
        "problem": chart.problem,
        "moments": chart.moments,
        "series": [{"name": one.name, "values": one.values} for one in chart.series],
        "left_out": {"count": chart.left_out_count, "names": chart.left_out},
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
