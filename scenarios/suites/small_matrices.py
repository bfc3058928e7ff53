"""The matrices of several suites, with no more than their states: two queries for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from scenarios.domain.suite_states import CellState, ShownState
from scenarios.models import Suite, SuiteCell
from scenarios.suites.faults import FAULTS
from scenarios.suites.matrix import find_fault_title, find_shown_state


@dataclass(frozen=True, slots=True)
class SmallCell:
    """`run` is the key of the run that proves it."""

    dependency: str
    fault: str
    state: ShownState
    reason: str
    run: UUID | None


@dataclass(frozen=True, slots=True)
class SmallMatrix:
    """`faults` are the titles of the columns; each row is a dependency with its cells in their order."""

    suite: Suite
    faults: Sequence[str]
    rows: Sequence[tuple[str, Sequence[SmallCell | None]]]


def read_small_matrices(most: int) -> list[SmallMatrix]:
    """Of so many suites: those with the most failed cells first, then by name."""
    failed = Count("cells", filter=Q(cells__state=CellState.FAILED))
    suites = list(Suite.objects.defer("document").annotate(failed=failed).order_by("-failed", "name")[:most])
    cells: dict[int, list[SuiteCell]] = {suite.pk: [] for suite in suites}
    for row in SuiteCell.objects.filter(suite__in=suites).order_by("order"):
        cells[row.suite_id].append(row)
    return [_arrange(suite, cells[suite.pk]) for suite in suites]


def _arrange(suite: Suite, cells: Sequence[SuiteCell]) -> SmallMatrix:
    used = {row.fault for row in cells}
    known = [fault.name for fault in FAULTS if fault.name in used]
    faults = [*known, *sorted(used.difference(known))]
    rows: dict[str, dict[str, SmallCell]] = {}
    now = timezone.now()
    for row in cells:
        shown = SmallCell(
            row.dependency,
            find_fault_title(row.fault),
            find_shown_state(row, now),
            row.reason or row.obstacle,
            row.run_id,
        )
        rows.setdefault(row.dependency, {})[row.fault] = shown
    return SmallMatrix(suite, [find_fault_title(name) for name in faults], _order(rows, faults))


def _order(
    rows: Mapping[str, Mapping[str, SmallCell]], faults: Sequence[str]
) -> list[tuple[str, list[SmallCell | None]]]:
    return [(dependency, [found.get(fault) for fault in faults]) for dependency, found in rows.items()]
