"""The runs that ended last, each with the figures that were unusual, in few queries for all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.models import Run, RunFigures
from scenarios.runs.comparisons import MAX_EARLIER_RUNS, Comparison, compare_figures
from scenarios.runs.figures import FigureKey, decode_figures

MAX_RECENT = 8
# What runs must have in common to be compared: the version of the document, and the environment.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RecentVerdict:
    """A run that has ended. `regressions` are sentences; `unusual` has the figures that differ much."""

    run: Run
    unusual: Sequence[Comparison]
    regressions: Sequence[str]


def list_recent_verdicts() -> list[RecentVerdict]:
    """The runs that ended last, the newest first."""
    rows = Run.objects.filter(state=RunState.FINISHED).for_a_list().select_related("figures")
    runs = list(rows.order_by("-finished_at")[:MAX_RECENT])
    measured = [run for run in runs if hasattr(run, "figures")]
    earlier = {key: _read_passed(key, measured) for key in set(map(_find_key, measured))}
    return [_describe(run, earlier) for run in runs]


def _find_key(run: Run) -> Key:
    return run.figures.version, run.environment


def _read_passed(key: Key, measured: Iterable[Run]) -> list[RunFigures]:
    """The figures of the passed runs of one document that the ended runs are compared with."""
    same = [run.figures for run in measured if _find_key(run) == key]
    version, environment = key
    rows = RunFigures.objects.filter(version=version, outcome=Outcome.PASSED)
    rows = rows.filter(run__outcome=Outcome.PASSED, run__environment=environment)
    rows = rows.filter(recorded_at__lte=max(row.recorded_at for row in same))
    return list(rows.order_by("-recorded_at")[: MAX_EARLIER_RUNS + len(same)])


def _describe(run: Run, earlier: Mapping[Key, Sequence[RunFigures]]) -> RecentVerdict:
    if not hasattr(run, "figures") or run.finished_at is None:
        return RecentVerdict(run, (), ())
    ended = run.finished_at
    rows = [row for row in earlier[_find_key(run)] if row.recorded_at < ended and row.run_id != run.pk]
    values: defaultdict[FigureKey, list[float]] = defaultdict(list)
    for row in rows[:MAX_EARLIER_RUNS]:
        for key, value in decode_figures(row.content):
            values[key].append(value)
    compared = compare_figures(dict(decode_figures(run.figures.content)), values)
    unusual = [comparison for comparison in compared if comparison.is_unusual]
    return RecentVerdict(run, unusual, run.figures.regressions.splitlines())
