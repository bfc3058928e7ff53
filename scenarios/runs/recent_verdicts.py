"""The runs that ended last, each with the figures that were unusual, in few queries for all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.models import Run, RunFigures
from scenarios.runs.figures import MAX_EARLIER_RUNS, Comparison, FigureKey, compare_figures, decode_figures

MAX_RECENT = 8


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
    measured = [run.figures for run in runs if hasattr(run, "figures")]
    earlier = {version: _read_passed(version, measured) for version in {row.version for row in measured}}
    return [_describe(run, earlier) for run in runs]


def _read_passed(version: str, measured: Iterable[RunFigures]) -> list[RunFigures]:
    """The figures of the passed runs of one document that the ended runs are compared with."""
    same = [row for row in measured if row.version == version]
    rows = RunFigures.objects.filter(version=version, outcome=Outcome.PASSED, run__outcome=Outcome.PASSED)
    rows = rows.filter(recorded_at__lte=max(row.recorded_at for row in same))
    return list(rows.order_by("-recorded_at")[: MAX_EARLIER_RUNS + len(same)])


def _describe(run: Run, earlier: Mapping[str, Sequence[RunFigures]]) -> RecentVerdict:
    if not hasattr(run, "figures") or run.finished_at is None:
        return RecentVerdict(run, (), ())
    ended = run.finished_at
    rows = [row for row in earlier[run.figures.version] if row.recorded_at < ended and row.run_id != run.pk]
    values: defaultdict[FigureKey, list[float]] = defaultdict(list)
    for row in rows[:MAX_EARLIER_RUNS]:
        for key, value in decode_figures(row.content):
            values[key].append(value)
    compared = compare_figures(dict(decode_figures(run.figures.content)), values)
    unusual = [comparison for comparison in compared if comparison.is_unusual]
    return RecentVerdict(run, unusual, run.figures.regressions.splitlines())
