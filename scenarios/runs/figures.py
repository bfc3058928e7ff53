"""The figures of runs, and how those of one run compare with earlier runs of the same document.

A figure is added here by its name in FIGURES, and where `collect_figures` finds its value.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.domain.plan import MIN_SAMPLES
from scenarios.domain.sizes import format_share
from scenarios.domain.usual_values import MIN_DEVIATION, MIN_VALUES, Usual, find_usual
from scenarios.models import Run, RunFigures
from scenarios.runs.history import RunHistory
from scenarios.runs.load_results import read_loads

# How many earlier runs say what is usual.
MAX_EARLIER_RUNS = 20
FIGURES: Mapping[str, str] = {
    "time_to_detect": "time to detect",
    "time_to_recover": "time to recover",
    "time_to_pass": "time to pass",
    "p95": "p95",
    "error_rate": "error rate",
}
# Of the loads: a p95 of milliseconds differs by less than the time of a recovery.
LOAD_FIGURES: Mapping[str, float] = {"p95": 0.005, "error_rate": 0.005}
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class FigureKey:
    """`name` is one of FIGURES; `phase` and `subject` are of a validation or load, "" for the whole run."""

    name: str
    phase: str = ""
    subject: str = ""

    @property
    def in_words(self) -> str:
        return FIGURES.get(self.name, self.name)

    @property
    def measures_load(self) -> bool:
        return self.name in LOAD_FIGURES

    def format_value(self, value: float | None) -> str:
        """Latencies to a tenth of a millisecond, other times to a tenth of a second; "" for None."""
        if value is None:
            return ""
        if self.name == "error_rate":
            return format_share(value)
        if self.measures_load:
            return format_duration(round(value, 4))
        return format_duration(round(value, 1) if value < MINUTE else round(value))


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
            "figure": self.key.name,
            "phase": self.key.phase,
            "validation": "" if self.key.measures_load else self.key.subject,
            "load": self.key.subject if self.key.measures_load else "",
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


Figures = Mapping[FigureKey, float]


def collect_figures(history: RunHistory) -> Figures:
    return dict(_collect(history))


def _collect(history: RunHistory) -> Iterator[tuple[FigureKey, float]]:
    if history.time_to_detect is not None:
        yield FigureKey("time_to_detect"), history.time_to_detect
    if history.time_to_recover is not None:
        yield FigureKey("time_to_recover"), history.time_to_recover
    for step in history.validations:
        if step.time_to_pass is not None:
            yield FigureKey("time_to_pass", step.phase, step.name), step.time_to_pass
    for load in read_loads(history):
        for phase, figures in load.phases:
            for name in LOAD_FIGURES:
                if (value := figures[name]) is not None and figures["requests"] >= MIN_SAMPLES.get(name, 1):
                    yield FigureKey(name, phase, load.name), value


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


def find_regressions(run: Run) -> list[str]:
    """The figures of the run that are worse than its document allows."""
    texts = RunFigures.objects.filter(run=run).values_list("regressions", flat=True)
    return [sentence for text in texts for sentence in text.splitlines()]


def digest_document(document: str) -> str:
    return sha256(document.encode()).hexdigest()


def encode_figures(figures: Figures) -> str:
    """ASCII, which every encoding of a database can store."""
    return json.dumps([[key.name, key.phase, key.subject, round(value, 6)] for key, value in figures.items()])


def decode_figures(content: str) -> Iterable[tuple[FigureKey, float]]:
    return ((FigureKey(name, phase, subject), value) for name, phase, subject, value in json.loads(content))
