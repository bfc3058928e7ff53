"""The parts of the run page, and which of them have changed since a browser last saw them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import yaml
from django.db.models import Sum
from django.utils import timezone

from scenarios.control_room.included_documents import list_included_documents
from scenarios.control_room.run_advice import build_advice
from scenarios.control_room.run_faults import describe_faults, describe_left
from scenarios.control_room.run_mark import Mark, Said
from scenarios.domain.event_kinds import EventKind, Topic, find_kinds, parse_kind
from scenarios.domain.outcomes import Rollback, RunState
from scenarios.domain.plan import Plan
from scenarios.domain.webhooks import DeliveryState, Message
from scenarios.library.dry_run import PlannedStep, list_steps
from scenarios.models import Approval, Delivery, Event, LookChunk, Run, RunCharts
from scenarios.pictures.load_charts import HEADS, build_load_views
from scenarios.pictures.look_charts import MIN_LOOKS, build_look_views
from scenarios.pictures.run_charts import build_views
from scenarios.pictures.run_progress import find_progress, read_outline
from scenarios.pictures.run_timeline import Span, run_timeline
from scenarios.pictures.run_tracks import draw_tracks
from scenarios.pictures.words import duration
from scenarios.published.looks import find_looks_version, read_looks
from scenarios.runs.comparisons import compare_run
from scenarios.runs.executor import find_fitting_plan
from scenarios.runs.history import RunHistory, read_history
from scenarios.runs.load_results import LOAD_KINDS, LoadResult, find_progress_version, read_loads

STEP_STARTS = (EventKind.ACTION_STARTED, EventKind.VALIDATION_STARTED)
FAULT_KINDS = find_kinds(Topic.FAULT)
EVENTS_PER_PAGE = 100
EVENTS_PER_STEP = 20
# So often that a change is visible within a second, with the look of the probe and the answer to the poll;
# a poll without news takes 3 ms. Less often while only the watchdog retries an undo, which is at once if
# somebody has pressed the button.
SECONDS_RUNNING, SECONDS_DIRTY = 0.5, 1.0
# The watchdog reads charts; looking for newer ones takes one short query.
SECONDS_CHARTS = 5
# The worker writes what loads have measured every two seconds. Later, a point of a curve is longer than that,
# and there are more looks to draw.
SECONDS_LOOKS, SECONDS_LOADS = 5, 2
LOADS_ARE_NEW = 600.0
MIN_ZOOM_SECONDS = 0.2
# At the beginning of the title, where a tab in the background shows it.
SIGNS = {
    "passed": "✓",
    "failed": "✗",
    "errored": "⚠",
    "aborted": "■",
    "timed_out": "⏱",
    "interrupted": "⚠",
    "dirty": "⚡",
    "running": "▶",
    "queued": "…",
    "awaiting_approval": "…",
}


def whole_page(run: Run) -> dict[str, Any]:
    # What happens meanwhile is left to the first poll, which would send it a second time.
    history = read_history(run, last_event=run.last_event)
    return {
        **_parts(run, history),
        **build_charts(run, history),
        **_build_measured(run, history),
        "steps": history.steps,
        "included_documents": list_included_documents(run),
        **events_before(run, run.last_event + 1),
    }


def build_charts(run: Run, history: RunHistory | None = None) -> dict[str, Any]:
    """The stored charts, and how often to look for newer ones."""
    charts = build_views(run, history or read_history(run))
    return {"run": run, "charts": charts, "charts_poll_seconds": 0 if charts.complete else SECONDS_CHARTS}


def charts_version(pk: UUID) -> int:
    return RunCharts.objects.filter(run=pk).values_list("version", flat=True).first() or 0


def _build_loads(history: RunHistory, loads: Sequence[LoadResult]) -> dict[str, Any]:
    return {"loads": build_load_views(history, loads), "load_heads": HEADS}


def build_measured(run: Run) -> dict[str, Any]:
    """What was measured since a browser last asked, for each part of the page that shows it."""
    return {**_build_measured(run, read_history(run)), "is_poll": True}


def _build_measured(run: Run, history: RunHistory) -> dict[str, Any]:
    """Curves below the timeline, loads, charts of validations, and how often to look for newer ones."""
    # Before they are read: what is stored meanwhile is drawn the next time.
    version = _find_measured_version(run)
    looks, outline = read_looks(run), read_outline(run)
    has_loads = outline.has_loads or history.has_loads
    loads = read_loads(history) if has_loads else []
    seconds = SECONDS_LOADS if has_loads and history.offset(None) < LOADS_ARE_NEW else SECONDS_LOOKS
    return {
        "run": run,
        "looks": build_look_views(history, looks),
        "curves": draw_tracks(history, looks, loads, outline),
        **_build_loads(history, loads),
        "looks_version": version,
        "looks_poll_seconds": seconds if run.state != RunState.FINISHED else 0,
    }


def _find_measured_version(run: Run) -> str:
    has_loads = read_outline(run).has_loads
    return find_looks_version(run) + (f"-{find_progress_version(run)}" if has_loads else "")


def build_zoom(run: Run, begin: float, end: float) -> dict[str, Any]:
    """Timeline and curves of a part of the run, in seconds since it began, whichever limit comes first."""
    history = read_history(run)
    outline = read_outline(run)
    whole = max(find_progress(history, outline).seconds, MIN_ZOOM_SECONDS)
    begin, end = sorted((min(begin, whole), min(end, whole)))
    begin = max(0.0, min(begin, end - MIN_ZOOM_SECONDS))
    span = Span(history.began, -begin, max(end, begin + MIN_ZOOM_SECONDS))
    return {
        "run": run,
        "timeline": run_timeline(history, span, outline=outline),
        "curves": draw_tracks(history, read_looks(run), read_loads(history), outline, span),
        "begin": duration(begin),
        "end": duration(span.after),
    }


def has_seen_looks(run: Run, version: str) -> bool:
    """Whether a browser has all looks and loads of a run that goes on; after its end it asks once more."""
    return run.state != RunState.FINISHED and _find_measured_version(run) == version


def what_changed(run: Run, seen: Mark) -> dict[str, Any] | None:
    """What to send to a browser with this mark; None if so much is new that it should reload."""
    later = run.events.filter(sequence__gt=seen.event, sequence__lte=run.last_event)
    later = later.order_by("sequence").defer("detail")
    new = list(later[: EVENTS_PER_PAGE + 1])
    if len(new) > EVENTS_PER_PAGE:
        return None
    history = read_history(run, last_event=run.last_event)
    changed = [step for step in history.steps if step.last_event > seen.event or step.verdict == "not judged"]
    loads_changed = any(event.kind in LOAD_KINDS for event in new)
    earlier = run.events.filter(sequence__lte=seen.event, kind__in=STEP_STARTS)
    known = set(earlier.values_list("phase", "subject"))
    parts = _parts(run, history)
    return {
        **parts,
        "old_steps": [step for step in changed if (step.phase, step.name) in known],
        "new_steps": [step for step in changed if (step.phase, step.name) not in known],
        "faults_changed": bool(parts["retries"]) or any(event.kind in FAULT_KINDS for event in new),
        "loads_changed": loads_changed,
        **(_build_loads(history, read_loads(history)) if loads_changed else {}),
        "events": new,
    }


def _parts(run: Run, history: RunHistory) -> dict[str, Any]:
    goes_on = run.state != RunState.FINISHED
    outline, said = read_outline(run), Said.of(run)
    return {
        "run": run,
        "original": run,
        "history": history,
        "progress": find_progress(history, outline),
        "defaults": outline.defaults,
        "faults": describe_faults(history),
        "left": "" if goes_on else describe_left(history),
        "retries_undo": goes_on and any(fault.is_outstanding for fault in history.faults),
        **said._asdict(),
        "now": timezone.now(),
        "approval": Approval.objects.filter(run=run).first(),
        "comparisons": compare_run(history),
        "advice": build_advice(history, outline),
        "late_trace": None if goes_on else _find_late_trace(run),
        "sign": SIGNS["dirty" if run.rollback == Rollback.DIRTY else run.outcome or run.state],
        "timeline": run_timeline(history, outline=outline) if history.steps else "",
        "mark": Mark.of(run.last_event, run.stop_requested_at, said),
        "goes_on": goes_on,
        "poll_seconds": SECONDS_RUNNING if goes_on else SECONDS_DIRTY * (run.rollback != Rollback.CLEAN),
    }


def _find_late_trace(run: Run) -> Delivery | None:
    """The message with the run's trace, if the page links to that and its collector has not taken it."""
    if not run.trace_url:
        return None
    traces = run.deliveries.filter(message=Message.TRACE).exclude(reason="")
    return traces.exclude(state=DeliveryState.DELIVERED).first()


def events_before(run: Run, before: int | None) -> dict[str, Any]:
    """The newest events, or those before a number, oldest first; `earlier` is where the page before ends."""
    rows = run.events.order_by("-sequence").defer("detail")
    if before is not None:
        rows = rows.filter(sequence__lt=before)
    events = list(rows[:EVENTS_PER_PAGE])[::-1]
    return {"events": events, "earlier": events[0].sequence if events and events[0].sequence > 1 else None}


def step_details(run: Run, phase: str, name: str, number: str = "") -> dict[str, Any]:
    """The step's input from the plan, and its output from its newest events; `curve` is the id of its curve
    on the page, if it has one, and `trace_url` shows its trace.
    """
    events = Event.objects.filter(run=run, phase=phase, subject=name).order_by("-sequence")[:EVENTS_PER_STEP]
    outputs = [(event, _text(event.detail)) for event in reversed(events) if event.detail]
    chunks = LookChunk.objects.filter(run=run, phase=phase, validation=name)
    looks = chunks.aggregate(looks=Sum("count"))["looks"] or 0
    plan = find_fitting_plan(run)
    has_curve = number.isdecimal() and looks >= MIN_LOOKS
    return {
        "run": run,
        "inputs": _inputs(plan, phase, name) if plan is not None else [],
        "outputs": outputs,
        "most": EVENTS_PER_STEP,
        "curve": f"curve-{number}" if has_curve else _find_load(plan, phase, name),
        "trace_url": _find_trace_url(run, list(events)),
    }


def _find_trace_url(run: Run, events: Sequence[Event]) -> str:
    """At the step's span; a guard has none."""
    kinds = [kind for event in events if (kind := parse_kind(event.kind)) is not None]
    spans = (Topic.ACTION, Topic.VALIDATION)
    topic = next((kind.topic for kind in kinds if kind.topic in spans), None)
    return run.find_trace_url(topic, events[0].phase, events[0].subject) if topic else run.trace_url


def _inputs(plan: Plan, phase: str, name: str) -> list[PlannedStep]:
    where = phase or "throughout"
    return [step for step in list_steps(plan) if (step.phase, step.name) == (where, name)]


def _find_load(plan: Plan | None, phase: str, name: str) -> str:
    """Where the load is drawn that the validation judges; "" if it judges none."""
    loads = [load.name for load in plan.loads] if plan is not None else []
    judged = {
        (planned.name, validation.name): validation.load
        for planned in (plan.phases if plan is not None else ())
        for validation in planned.load_validations
    }
    load = judged.get((phase, name))
    return f"load-{loads.index(load) + 1}" if load in loads else ""


def _text(detail: dict[str, Any]) -> str:
    return yaml.safe_dump(detail, sort_keys=False, allow_unicode=True, width=100)
