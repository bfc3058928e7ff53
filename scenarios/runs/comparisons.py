"""How the figures of a run compare with earlier runs of the same document."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.domain.usual_values import MIN_DEVIATION, MIN_VALUES, Usual, find_usual
from scenarios.models import Run, RunFigures
from scenarios.runs.figures import (
    LOAD_FIGURES,
    FigureKey,
    Figures,
    collect_figures,
    decode_figures,
    digest_document,
)
from scenarios.runs.history import RunHistory

# How many earlier runs say what is usual.
MAX_EARLIER_RUNS = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of a run beside what is usual, in seconds or as a share; `usual` is None if nothing is."""

    key: FigureKey
    value: float
    usual: Usual | None

    @property
    def is_unusual(self) -> bool:
        return self.usual is not None and self.usual.is_unusual(self.value)

    @property
    def has_enough_runs(self) -> bool:
        return self.usual is not None and self.usual.count >= MIN_VALUES

    @property
    def value_in_words(self) -> str:
        return self.key.format_value(self.value)

    @property
    def usual_in_words(self) -> str:
        return self.key.format_value(self.usual.middle) if self.usual is not None else ""

    @property
    def deviation_in_words(self) -> str:
        return self.key.format_value(self.usual.deviation) if self.usual is not None else ""

    def list_fields(self) -> dict[str, Any]:
        """As the API and the JSON report name them."""
        usual = self.usual
        return {
            **self.key.list_fields(),
            "value": self.value,
            "usual": usual.middle if usual else None,
            "deviation": usual.deviation if usual else None,
            "runs": usual.count if usual else 0,
            "unusual": self.is_unusual,
        }


@dataclass(frozen=True, slots=True)
class Comparisons:
    """All figures of a run that can be compared."""

    items: Sequence[Comparison]

    def __bool__(self) -> bool:
        return any(comparison.usual is not None for comparison in self.items)

    @property
    def unusual(self) -> list[Comparison]:
        return [comparison for comparison in self.items if comparison.is_unusual]

    @property
    def time_to_detect(self) -> Comparison | None:
        return self._find(FigureKey("time_to_detect"))

    @property
    def time_to_recover(self) -> Comparison | None:
        return self._find(FigureKey("time_to_recover"))

    def _find(self, key: FigureKey) -> Comparison | None:
        return next((comparison for comparison in self.items if comparison.key == key), None)


def compare_run(history: RunHistory) -> Comparisons:
    """How an ended run compares; empty while the run goes on."""
    if history.run.state != RunState.FINISHED:
        return Comparisons(())
    return Comparisons(compare_with_earlier(history.run, collect_figures(history)))


def compare_with_earlier(run: Run, figures: Figures) -> list[Comparison]:
    """Each figure beside the last passed runs of the same document and environment, ended before this run."""
    return compare_figures(figures, read_earlier_figures(run))


def compare_figures(figures: Figures, earlier: Mapping[FigureKey, Sequence[float]]) -> list[Comparison]:
    """Each figure beside its earlier values."""
    return [
        Comparison(key, value, find_usual(earlier.get(key, ()), LOAD_FIGURES.get(key.name, MIN_DEVIATION)))
        for key, value in figures.items()
    ]


def read_earlier_figures(run: Run) -> Mapping[FigureKey, Sequence[float]]:
    rows = RunFigures.objects.filter(version=digest_document(run.document), outcome=Outcome.PASSED)
    if run.finished_at is not None:
        rows = rows.filter(recorded_at__lt=run.finished_at)
    # A worker may have died between the figures and the end of its run.
    same = {"run__outcome": Outcome.PASSED, "run__environment": run.environment}
    rows = rows.filter(**same).exclude(run=run.pk).order_by("-recorded_at")
    found: defaultdict[FigureKey, list[float]] = defaultdict(list)
    for content in rows.values_list("content", flat=True)[:MAX_EARLIER_RUNS]:
        for key, value in decode_figures(content):
            found[key].append(value)
    return found
