"""The facts about a run that every report format contains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.event_kinds import STEP_OUTCOMES, EventKind
from scenarios.domain.plan import LeftOut
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document
from scenarios.library.versions import find_version
from scenarios.models import Approval, Event, Run
from scenarios.pictures.run_charts import Views, build_views
from scenarios.published.looks import ValidationLooks, read_looks
from scenarios.runs.comparisons import Comparisons, compare_run
from scenarios.runs.executor import find_fitting_plan
from scenarios.runs.history import RunHistory, StepHistory, read_history
from scenarios.runs.load_results import LoadResult, read_loads
from scenarios.runs.regressions import read_regressions

# Reports are sent by mail, so what a step returned is cut once more.
MAX_OUTPUT = 4_000


@dataclass(frozen=True, slots=True)
class Facts:
    """`version` counts the scenario's versions from 1; None if the document is not one of them. `looks` are
    by phase and name of the validation. `left_out` is what a `when` excluded.
    """

    run: Run
    history: RunHistory
    title: str
    description: str
    version: int | None
    outputs: dict[tuple[str, str, str], Any]
    charts: Views
    looks: Mapping[tuple[str, str], ValidationLooks]
    comparisons: Comparisons
    regressions: Sequence[str]
    loads: Sequence[LoadResult]
    approval: Approval | None = None
    left_out: tuple[LeftOut, ...] = ()

    def output_of(self, step: StepHistory) -> Any:
        return self.outputs.get((step.kind, step.phase, step.name))


def collect_facts(run: Run) -> Facts:
    document = _parse_document(run)
    history = read_history(run)
    return Facts(
        run=run,
        history=history,
        title=document.title if document else run.scenario_name,
        description=document.description if document else "",
        version=find_version(run.scenario, run.document) if run.scenario is not None else None,
        outputs=_collect_outputs(run),
        charts=build_views(run, history),
        loads=read_loads(history),
        looks={
            (watched_looks.watched.phase, watched_looks.watched.validation): watched_looks
            for watched_looks in read_looks(run)
        },
        comparisons=compare_run(history),
        regressions=read_regressions(run),
        approval=Approval.objects.filter(run=run).first(),
        left_out=plan.left_out if (plan := find_fitting_plan(run)) is not None else (),
    )


def _parse_document(run: Run) -> Document | None:
    try:
        return read_document(run.document, run.included or {})
    except InvalidDocument:
        return None  # of an earlier release: the report still tells what was carried out


def _collect_outputs(run: Run) -> dict[tuple[str, str, str], Any]:
    """What each step returned last, from its final event."""
    rows = Event.objects.filter(run=run, kind__in=STEP_OUTCOMES).order_by("sequence")
    return {
        (EventKind(kind).topic, phase, subject): seen
        for kind, phase, subject, seen in rows.values_list("kind", "phase", "subject", "detail__seen")
        if seen
    }
