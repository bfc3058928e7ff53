"""The figures of runs: what is measured of a whole run, a validation or a load.

A figure is added here by its name in FIGURES, and where `collect_figures` finds its value.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from scenarios.domain.durations import format_duration
from scenarios.domain.plan import MIN_SAMPLES
from scenarios.domain.sizes import format_share
from scenarios.runs.history import RunHistory
from scenarios.runs.load_results import read_loads

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

    def list_fields(self) -> dict[str, str]:
        """As the API and the JSON report name them."""
        return {
            "figure": self.name,
            "phase": self.phase,
            "validation": "" if self.measures_load else self.subject,
            "load": self.subject if self.measures_load else "",
        }

    def format_value(self, value: float | None) -> str:
        """Latencies to a tenth of a millisecond, other times to a tenth of a second; "" for None."""
        if value is None:
            return ""
        if self.name == "error_rate":
            return format_share(value)
        if self.measures_load:
            return format_duration(round(value, 4))
        return format_duration(round(value, 1) if value < MINUTE else round(value))


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


def digest_document(document: str) -> str:
    return sha256(document.encode()).hexdigest()


def encode_figures(figures: Figures) -> str:
    """ASCII, which every encoding of a database can store."""
    return json.dumps([[key.name, key.phase, key.subject, round(value, 6)] for key, value in figures.items()])


def decode_figures(content: str) -> Iterable[tuple[FigureKey, float]]:
    return ((FigureKey(name, phase, subject), value) for name, phase, subject, value in json.loads(content))
