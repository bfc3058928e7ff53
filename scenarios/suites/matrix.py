"""The matrix of a suite: what each cell shows now, read in a single query for all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.utils import timezone

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import InvalidDocument
from scenarios.domain.suite_states import CellState, ShownState
from scenarios.language.yaml_tree import read_tree
from scenarios.models import Run, Suite, SuiteCell
from scenarios.suites.faults import FAULT_BY_NAME, FAULTS

# The state of a suite as a whole: the first of these that one of its cells shows.
GRAVEST_FIRST = (
    ShownState.FAILED,
    ShownState.NEVER_TRIED,
    ShownState.OLDER,
    ShownState.DEGRADED,
    ShownState.SURVIVED,
    ShownState.SKIPPED,
)


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """`proved` is what the last proof showed, however old, and `reason` says why."""

    dependency: str
    fault: str
    state: ShownState
    proved: CellState
    reason: str
    obstacle: str
    run: Run | None
    proved_at: datetime | None


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """`kind` and `must` are words of the document. The cells are in the order of the columns."""

    dependency: str
    kind: str
    must: str
    cells: Sequence[MatrixCell | None]


@dataclass(frozen=True, slots=True)
class Matrix:
    """`faults` maps the names of the columns to their titles."""

    suite: Suite
    faults: Mapping[str, str]
    rows: Sequence[MatrixRow]
    counts: Mapping[ShownState, int]
    fresh_for: str

    @property
    def cells(self) -> list[MatrixCell]:
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    @property
    def state(self) -> ShownState:
        return find_gravest(self.counts)


def read_matrix(suite: Suite) -> Matrix:
    now = timezone.now()
    rows = suite.cells.select_related("run").defer("run__document", "run__variables").order_by("order")
    cells = [_describe_cell(row, now) for row in rows]
    by_key = {(cell.dependency, cell.fault): cell for cell in cells}
    names = {cell.fault for cell in cells}
    faults = {fault.name: fault.title for fault in FAULTS if fault.name in names}
    words = _read_words(suite)
    dependencies = dict.fromkeys(cell.dependency for cell in cells)
    return Matrix(
        suite,
        faults,
        [
            MatrixRow(
                name,
                *words.dependencies.get(name, ("", "")),
                [by_key.get((name, fault)) for fault in faults],
            )
            for name in dependencies
        ],
        Counter(cell.state for cell in cells),
        words.fresh_for,
    )


def _describe_cell(row: SuiteCell, now: datetime) -> MatrixCell:
    return MatrixCell(
        row.dependency,
        row.fault,
        find_shown_state(row, now),
        CellState(row.state),
        row.reason,
        row.obstacle,
        row.run,
        row.proved_at,
    )


def find_shown_state(row: SuiteCell, now: datetime) -> ShownState:
    """The same as `count_cells` counts in the database."""
    if row.state == CellState.NEVER_TRIED:
        return ShownState.SKIPPED if row.obstacle else ShownState.NEVER_TRIED
    if row.run_id is None or row.fresh_until is None or row.fresh_until < now:
        return ShownState.OLDER
    return ShownState(row.state)


def count_cells(cells: QuerySet[SuiteCell], now: datetime) -> dict[tuple[str, str], int]:
    """How many cells of each suite show each state, by name and state: one query for all suites."""
    shown = Case(
        When(Q(state=CellState.NEVER_TRIED) & ~Q(obstacle=""), then=Value(ShownState.SKIPPED.value)),
        When(state=CellState.NEVER_TRIED, then=Value(ShownState.NEVER_TRIED.value)),
        When(
            Q(run__isnull=True) | Q(fresh_until__isnull=True) | Q(fresh_until__lt=now),
            then=Value(ShownState.OLDER.value),
        ),
        default=F("state"),
        output_field=CharField(),
    )
    counted = cells.order_by().annotate(shown=shown).values_list("suite__name", "shown").annotate(Count("pk"))
    return {(name, state): count for name, state, count in counted}


def count_all_cells(now: datetime) -> dict[tuple[str, str], int]:
    """As `count_cells` of all suites, with a zero for each state that no cell of a suite shows."""
    counted = count_cells(SuiteCell.objects.all(), now)
    names = dict.fromkeys(name for name, _state in counted)
    return {
        (name, state.value): counted.get((name, state.value), 0) for name in names for state in ShownState
    }


def count_by_state(suites: Sequence[Suite]) -> dict[str, dict[ShownState, int]]:
    """How many cells of each of these suites show each state, by the suite's name: one query for all."""
    counts = count_cells(SuiteCell.objects.filter(suite__in=suites), timezone.now())
    return {
        suite.name: {state: counts.get((suite.name, state.value), 0) for state in ShownState}
        for suite in suites
    }


def find_gravest(counts: Mapping[ShownState, int]) -> ShownState:
    return next((state for state in GRAVEST_FIRST if counts.get(state)), ShownState.NEVER_TRIED)


@dataclass(frozen=True, slots=True)
class _Words:
    dependencies: Mapping[str, tuple[str, str]]
    fresh_for: str


def _read_words(suite: Suite) -> _Words:
    """What headings say. The document was valid when it was stored, and may not be so any more."""
    try:
        spec = read_tree(suite.document).plain()["spec"]
        entries: Iterable[Mapping[str, str]] = spec["depends_on"]
        dependencies = {entry["service"]: (entry["kind"], entry["must"]) for entry in entries}
        return _Words(dependencies, str(spec.get("fresh_for", format_duration(30 * 86400.0))))
    except (InvalidDocument, KeyError, TypeError):
        return _Words({}, "")


def find_fault_title(name: str) -> str:
    """The title of a fault in a stored row, which another version may have written."""
    fault = FAULT_BY_NAME.get(name)
    return fault.title if fault is not None else name
