"""Two runs of a scenario side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scenarios.library.compared_runs import (
    ComparedRuns,
    choose_other,
    compare_histories,
    list_candidates,
)
from scenarios.models import Run
from scenarios.pictures.compared_runs import draw_compared_looks, draw_timelines
from scenarios.runs.history import read_history

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that differs, or the environment; the values as text."""

    name: str
    this: str
    other: str


def build_comparison(run: Run, key: str) -> dict[str, Any]:
    """This run and the one that `choose_other` finds for the key."""
    candidates = list_candidates(run)
    other = choose_other(run, candidates, key)
    context: dict[str, Any] = {"run": run, "original": run, "candidates": candidates, "other": other}
    if other is None:
        return context
    histories = (read_history(run), read_history(other))
    this_timeline, other_timeline = draw_timelines(histories)
    compared = compare_histories(*histories)
    return {
        **context,
        "differences": list(_list_differences(compared)),
        "lines": compared.lines,
        "figures": compared.figures,
        "timelines": ((run, this_timeline), (other, other_timeline)),
        "charts": draw_compared_looks(histories),
    }


def _list_differences(compared: ComparedRuns) -> Iterator[Difference]:
    run, other = compared.run, compared.other
    if run.environment != other.environment:
        yield Difference("Environment", run.environment or ABSENT, other.environment or ABSENT)
    for name, values in compared.variables.items():
        yield Difference(name, *(ABSENT if value is None else str(value) for value in values))
