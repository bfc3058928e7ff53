"""The last runs of a scenario with their figures and the version of the document that they carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scenarios.models import Run, Scenario
from scenarios.runs.figures import FigureKey, Figures, decode_figures, digest_document

MAX_RUNS = 40


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """`version` counts the scenario's versions from 1; None without figures, or for another document."""

    run: Run
    version: int | None
    figures: Figures

    @property
    def time_to_detect(self) -> float | None:
        return self.figures.get(FigureKey("time_to_detect"))

    @property
    def time_to_recover(self) -> float | None:
        return self.figures.get(FigureKey("time_to_recover"))


def list_measured_runs(scenario: Scenario) -> Sequence[MeasuredRun]:
    """The last runs, the oldest first."""
    rows = Run.objects.for_a_list().filter(scenario=scenario).select_related("figures")
    runs = list(rows.order_by("-queued_at", "-id")[:MAX_RUNS])[::-1]
    versions = _number_versions(scenario) if any(hasattr(run, "figures") for run in runs) else {}
    return [_read(run, versions) for run in runs]


def _number_versions(scenario: Scenario) -> Mapping[str, int]:
    """Numbers by digest; a document that was restored has the number of its newest version."""
    documents = scenario.history.order_by("history_id").values_list("document", flat=True)
    return {digest_document(document): number for number, document in enumerate(documents.iterator(), 1)}


def _read(run: Run, versions: Mapping[str, int]) -> MeasuredRun:
    if not hasattr(run, "figures"):
        return MeasuredRun(run, None, {})
    return MeasuredRun(run, versions.get(run.figures.version), dict(decode_figures(run.figures.content)))
