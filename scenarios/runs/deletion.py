"""Deletes ended runs with all that is stored with them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction

from scenarios.domain.errors import ScenarioError
from scenarios.domain.outcomes import RunState
from scenarios.domain.suite_states import SuiteRunState
from scenarios.models import Event, Fault, LoadProgress, LookChunk, Run, RunCharts, RunFigures, TriedCell


class RunNeeded(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The run goes on, may have left something injected, or belongs to a suite that goes on."""


def find_obstacles(runs: Collection[Run]) -> dict[UUID, str]:
    """By run, why it cannot be deleted now; runs that can be deleted are left out."""
    ids = [run.pk for run in runs]
    obstacles = {
        run.pk: f"it is {run.get_state_display()}; stop it first"
        for run in runs
        if run.state != RunState.FINISHED
    }
    cells = TriedCell.objects.filter(run__in=ids, suite_run__state=SuiteRunState.RUNNING)
    for run_id, name in cells.values_list("run", "suite_run__suite_name"):
        obstacles.setdefault(run_id, f"the suite {name!r}, which it belongs to, goes on")
    for run_id, action in Fault.objects.still_open().filter(run__in=ids).values_list("run", "action"):
        obstacles.setdefault(run_id, f"its fault {action!r} is not undone; undo or acknowledge it first")
    return obstacles


@transaction.atomic
def delete_runs(ids: Sequence[UUID]) -> int:
    """Delete the runs with events, faults, charts and looks, or none of them; return how many there were.

    Raises:
        RunNeeded: one of them cannot be deleted now.
    """
    rows = Run.objects.select_for_update(of=("self",)).for_a_list().filter(pk__in=ids)
    runs = list(rows.order_by("pk"))  # in the same order in every process, because each row is locked
    obstacles = find_obstacles(runs)
    for run in runs:
        if obstacle := obstacles.get(run.pk):
            raise RunNeeded(f"Run {run} cannot be deleted now, because {obstacle}.")
    delete_rows([run.pk for run in runs])
    return len(runs)


def delete_rows(ids: Sequence[UUID]) -> None:
    """Delete ended runs without a look at them; within the caller's transaction."""
    Fault.objects.filter(run__in=ids).delete()
    Event.objects.filter(run__in=ids).delete()
    LookChunk.objects.filter(run__in=ids).delete()
    LoadProgress.objects.filter(run__in=ids).delete()
    RunFigures.objects.filter(run__in=ids).delete()
    RunCharts.objects.filter(run__in=ids).delete()
    Run.objects.filter(id__in=ids).delete()
