"""The report as JSON."""

from datetime import datetime
from typing import Any

from scenarios.charts.kept import Chart
from scenarios.domain.outputs import dump_json
from scenarios.models import Approval
from scenarios.pictures.run_charts import Views
from scenarios.published.records import (
    add_earlier_run_names,
    format_time,
    json_fields,
    json_look,
    record_fault,
    record_run,
)
from scenarios.reports.facts import Facts
from scenarios.runs.history import StepHistory


def render(facts: Facts) -> str:
    return dump_json(build_content(facts), indent=2, ensure_ascii=False) + "\n"


def build_content(facts: Facts) -> dict[str, Any]:
    run, history = facts.run, facts.history
    fields = {
        **json_fields(record_run(run)),
        "time_to_detect": history.time_to_detect,
        "time_to_recover": history.time_to_recover,
        "comparison": [comparison.list_fields() for comparison in facts.comparisons.items],
        "regressions": facts.regressions,
        "title": facts.title,
        "description": facts.description,
        "schedule": str(run.schedule or ""),
        "approval": _describe_approval(facts.approval) if facts.approval else None,
        "phases": [
            {"name": phase.name, **_describe_period(phase.began, phase.ended)} for phase in history.phases
        ],
        "faults": [{**json_fields(record_fault(fault)), "order": fault.order} for fault in history.faults],
        "steps": [_describe_step(step, facts) for step in history.steps],
        "validations": [_describe_validation(step, facts) for step in history.validations],
        "load": [load.to_json() for load in facts.loads],
        "left_out": [
            {"kind": left_out.kind, "phase": left_out.phase, "name": left_out.name}
            for left_out in facts.left_out
        ],
        "charts": _describe_charts(facts.charts),
        "version": facts.version,
        "document": run.document,
        "included": run.included or {},
    }
    return add_earlier_run_names(
        fields,
        run="id",
        began_at="started_at",
        seconds="duration",
        time_to_detect_seconds="time_to_detect",
        time_to_recover_seconds="time_to_recover",
    )


def _describe_approval(approval: Approval) -> dict[str, Any]:
    return {
        "id": approval.pk,
        "state": approval.state,
        "services": approval.services,
        "asked_by": approval.asked_by_name,
        "asked_at": _format_time(approval.asked_at),
        "decided_by": approval.decided_by_name,
        "decided_at": _format_time(approval.decided_at),
        "reason": approval.reason,
    }


def _describe_step(step: StepHistory, facts: Facts) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "phase": step.phase,
        "name": step.name,
        "verdict": step.verdict,
        "reason": step.reason,
        **_describe_period(step.began, step.ended),
        "attempts": step.attempts,
        "time_to_pass": step.time_to_pass,
        "time_to_pass_seconds": step.time_to_pass,
        "seen": facts.output_of(step),
    }


def _describe_validation(step: StepHistory, facts: Facts) -> dict[str, Any]:
    """`looks` are what its probes saw; thinned where there were many."""
    looks = facts.looks.get((step.phase, step.name))
    return {
        "phase": step.phase,
        "name": step.name,
        "verdict": step.verdict,
        "time_to_pass": step.time_to_pass,
        "about": looks.watched.about if looks else "",
        "compared": looks.watched.compared if looks else "",
        "looks": [json_look(look) for look in looks.looks] if looks else [],
    }


def _describe_period(started: datetime, finished: datetime | None) -> dict[str, str | None]:
    """Under the new and the earlier names."""
    times = {"started_at": _format_time(started), "finished_at": _format_time(finished)}
    return {**times, "began_at": times["started_at"], "ended_at": times["finished_at"]}


def _describe_charts(charts: Views) -> dict[str, Any]:
    """`moments` are Unix seconds; each series has one value for each, null if there was no sample."""
    return {
        "read_at": _format_time(charts.read_at),
        "complete": charts.complete,
        "drawn": [_describe_chart(view.chart) for view in charts.drawn],
        "without": [{"why": why, "charts": list(names)} for why, names in charts.without.items()],
        "left_out": list(charts.left_out),
    }


def _describe_chart(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "about": chart.about,
        "query": chart.query,
        "unit": chart.unit,
        "server": chart.server,
        "problem": chart.problem,
        "moments": chart.moments,
        "series": [{"name": series.name, "values": series.values} for series in chart.series],
        "left_out": {"count": chart.left_out_count, "names": chart.left_out},
    }


def _format_time(at: datetime | None) -> str | None:
    return format_time(at) if at else None
