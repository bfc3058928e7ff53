"""Suites, their matrices and their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator_client.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSuite(Record):
    """`state` is the gravest of its cells; `counts` has the number of cells by state."""

    name: str
    title: str
    service: str
    state: str
    counts: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell(Record):
    """`run` is the run that proves the state; `obstacle` says why the fault cannot be injected."""

    dependency: str
    fault: str
    must: str
    state: str
    reason: str
    obstacle: str
    run: str | None
    proved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteMatrix(Record):
    """`words` describes the state of the suite; `badge` is the path of its badge."""

    suite: str
    title: str
    service: str
    state: str
    words: str
    counts: Mapping[str, Any] = field(hash=False)
    badge: str
    cells: Sequence[MatrixCell]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCell(Record):
    """A cell of one run of a suite; `waiting_for` is what its run waits for."""

    dependency: str
    fault: str
    state: str
    reason: str
    run: str | None
    waiting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun(Record):
    """`status` is `running`, or the outcome; `cells` is empty in lists."""

    id: str
    suite: str
    status: str
    reason: str
    created_at: datetime
    finished_at: datetime | None
    created_by: str | None
    origin: str
    stopping: bool
    cells: Sequence[TriedCell] = ()

    @property
    def has_ended(self) -> bool:
        return self.status != "running"
