"""Two runs of a scenario side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from scenarios.domain.outcomes import Outcome
from scenarios.library.versions import Line, compare_lines
from scenarios.models import Run
from scenarios.pictures.compared_runs import draw_compared_looks, draw_timelines
from scenarios.runs.figures import FigureKey, collect_figures
from scenarios.runs.history import read_history

MAX_CANDIDATES = 20
ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that differs, or the environment; the values as text."""

    name: str
    this: str
    other: str


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


def build_comparison(run: Run, key: str) -> dict[str, Any]:
    """This run and the one with the key, else the last one before it that passed, else the last before it.

    Those of the same environment come first.
    """
    candidates = list_candidates(run)
    other = _choose_other(run, candidates, key)
    context: dict[str, Any] = {"run": run, "original": run, "candidates": candidates, "other": other}
    if other is None:
        return context
    histories = (read_history(run), read_history(other))
    this_timeline, other_timeline = draw_timelines(histories)
    figures = [collect_figures(history) for history in histories]
    keys = dict.fromkeys([*figures[0], *figures[1]])
    return {
        **context,
        "differences": [*_compare_environments(run, other), *_compare_variables(run, other)],
        "lines": _compare_documents(run, other),
        "figures": [FigureOfBoth(key, figures[0].get(key), figures[1].get(key)) for key in keys],
        "timelines": ((run, this_timeline), (other, other_timeline)),
        "charts": draw_compared_looks(histories),
    }


def list_candidates(run: Run) -> list[Run]:
    """Other runs of the same scenario, the newest first; the nearest in time before and after this one."""
    if run.scenario_id is None:
        return []
    same = Run.objects.for_a_list().filter(scenario=run.scenario_id).exclude(pk=run.pk)
    begun = same.filter(claimed_at__isnull=False)
    earlier = begun.filter(queued_at__lte=run.queued_at).order_by("-queued_at", "-id")[:MAX_CANDIDATES]
    later = begun.filter(queued_at__gt=run.queued_at).order_by("queued_at", "id")[:MAX_CANDIDATES]
    return [*list(later)[::-1], *earlier]


def _choose_other(run: Run, candidates: Sequence[Run], key: str) -> Run | None:
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


def _compare_environments(run: Run, other: Run) -> Iterator[Difference]:
    if run.environment != other.environment:
        yield Difference("Environment", run.environment or ABSENT, other.environment or ABSENT)


def _compare_variables(run: Run, other: Run) -> Iterator[Difference]:
    for name in dict.fromkeys([*run.variables, *other.variables]):
        this, its = (str(compared_run.variables.get(name, ABSENT)) for compared_run in (run, other))
        if this != its:
            yield Difference(name, this, its)


def _compare_documents(run: Run, other: Run) -> list[Line]:
    return list(compare_lines(other.document, run.document))
