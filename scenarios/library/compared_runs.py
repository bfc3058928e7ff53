"""Two runs side by side: what differs in their variables and documents, and the figures of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from scenarios.domain.outcomes import Outcome
from scenarios.library.versions import Line, compare_lines
from scenarios.models import Run
from scenarios.published.records import list_fields, record_run
from scenarios.runs.figures import FigureKey, collect_figures
from scenarios.runs.history import RunHistory, read_history

MAX_CANDIDATES = 20
FIELDS_OF_RUN = (
    *("id", "scenario", "status", "rollback", "reason", "created_at", "started_at", "finished_at"),
    *("duration", "environment", "url"),
)


@dataclass(frozen=True, slots=True)
class FigureOfBoth:
    key: FigureKey
    this: float | None
    other: float | None

    @property
    def this_in_words(self) -> str:
        return self.key.format_value(self.this)

    @property
    def other_in_words(self) -> str:
        return self.key.format_value(self.other)

    def list_fields(self) -> dict[str, Any]:
        """As the API names them."""
        return {**self.key.list_fields(), "value": self.this, "other": self.other}


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """`variables` has those that differ, with both values; None of a run that has no such variable.

    `lines`: the document of this run, compared with that of the other.
    """

    run: Run
    other: Run
    variables: Mapping[str, tuple[Any, Any]]
    lines: Sequence[Line]
    figures: Sequence[FigureOfBoth]

    def list_fields(self) -> dict[str, Any]:
        """As the API names them."""
        return {
            "run": _list_fields_of_run(self.run),
            "other": _list_fields_of_run(self.other),
            "variables": {
                name: {"value": this, "other": other} for name, (this, other) in self.variables.items()
            },
            "document": [line.text for line in self.lines],
            "figures": [figure.list_fields() for figure in self.figures],
        }


def _list_fields_of_run(run: Run) -> dict[str, Any]:
    fields = list_fields(record_run(run))
    return {name: fields[name] for name in FIELDS_OF_RUN}


def compare_runs(run: Run, other: Run) -> ComparedRuns:
    return compare_histories(read_history(run), read_history(other))


def compare_histories(this: RunHistory, other: RunHistory) -> ComparedRuns:
    figures = (collect_figures(this), collect_figures(other))
    keys = dict.fromkeys([*figures[0], *figures[1]])
    return ComparedRuns(
        this.run,
        other.run,
        _compare_variables(this.run, other.run),
        list(compare_lines(other.run.document, this.run.document)),
        [FigureOfBoth(key, figures[0].get(key), figures[1].get(key)) for key in keys],
    )


def _compare_variables(run: Run, other: Run) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*run.variables, *other.variables])
    values = {name: (run.variables.get(name), other.variables.get(name)) for name in names}
    return {name: (this, its) for name, (this, its) in values.items() if this != its}


def list_candidates(run: Run) -> list[Run]:
    """Other runs of the same scenario, the newest first; the nearest in time before and after this one."""
    if run.scenario_id is None:
        return []
    same = Run.objects.for_a_list().filter(scenario=run.scenario_id).exclude(pk=run.pk)
    begun = same.filter(claimed_at__isnull=False)
    earlier = begun.filter(queued_at__lte=run.queued_at).order_by("-queued_at", "-id")[:MAX_CANDIDATES]
    later = begun.filter(queued_at__gt=run.queued_at).order_by("queued_at", "id")[:MAX_CANDIDATES]
    return [*list(later)[::-1], *earlier]


def choose_other(run: Run, candidates: Sequence[Run], key: str = "") -> Run | None:
    """The run with the key, else the last one before this run that passed, else the last before it.

    Those of the same environment come first.
    """
    chosen = _find_by_key(run, candidates, key)
    # Sorting is stable: of each environment, the newest stays first.
    nearest = sorted(candidates, key=lambda candidate: candidate.environment != run.environment)
    earlier = [candidate for candidate in nearest if candidate.queued_at <= run.queued_at]
    passed = [candidate for candidate in earlier if candidate.outcome == Outcome.PASSED]
    found = next(iter((*chosen, *passed, *earlier, *nearest)), None)
    return Run.objects.get(pk=found.pk) if found is not None else None


def _find_by_key(run: Run, candidates: Sequence[Run], key: str) -> list[Run]:
    """The run with this key, if it is another run of the same scenario."""
    try:
        wanted = UUID(key)
    except ValueError:
        return []
    if found := [candidate for candidate in candidates if candidate.pk == wanted]:
        return found
    rows = Run.objects.filter(pk=wanted, scenario__isnull=False, scenario=run.scenario_id)
    return list(rows.exclude(pk=run.pk))
