"""The states of suites: of their cells, and of their runs."""

from enum import StrEnum


class CellState(StrEnum):
    """What the last run that proved something has shown. Users noticed nothing if the service `survived`.

    They did if it `degraded`, but they may, and it recovered in time. Else it has `failed`.
    """

    SURVIVED = "survived"
    DEGRADED = "degraded"
    FAILED = "failed"
    NEVER_TRIED = "never_tried"


class ShownState(StrEnum):
    """The states in the matrix, the metric and the API. An `older` cell was proved too long ago, and a
    `skipped` one cannot be tried.
    """

    SURVIVED = "survived"
    DEGRADED = "degraded"
    FAILED = "failed"
    NEVER_TRIED = "never_tried"
    OLDER = "older"
    SKIPPED = "skipped"


class TriedState(StrEnum):
    """A cell of one run of a suite. A run that `errored` has proved nothing."""

    WAITING = "waiting"
    RUNNING = "running"
    SURVIVED = "survived"
    DEGRADED = "degraded"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERRORED = "errored"


PROVED = frozenset({TriedState.SURVIVED, TriedState.DEGRADED, TriedState.FAILED})


class SuiteRunState(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"


class SuiteOutcome(StrEnum):
    """`errored`: no cell failed, but some proved nothing, or none proved anything."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
