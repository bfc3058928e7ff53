"""Suites as JSON: the API, the command line and programs get the same names."""

from datetime import datetime
from typing import Any

from django.urls import reverse

from scenarios.domain.suite_states import ShownState, SuiteRunState
from scenarios.models import Suite, SuiteRun, TriedCell
from scenarios.published.records import format_time
from scenarios.suites.badge import compute_key, describe_state
from scenarios.suites.matrix import Matrix, MatrixCell, count_by_state, find_gravest, read_matrix

Record = dict[str, Any]


def list_suite_records() -> list[Record]:
    """Every suite with its state and counts: two queries, however many there are."""
    suites = list(Suite.objects.defer("document"))
    counts = count_by_state(suites)
    return [
        {
            "name": suite.name,
            "title": suite.title,
            "service": suite.service,
            "state": find_gravest(counts[suite.name]).value,
            "counts": {state.value: count for state, count in counts[suite.name].items()},
        }
        for suite in suites
    ]


def build_matrix_record(suite: Suite) -> Record:
    matrix = read_matrix(suite)
    return {
        "suite": suite.name,
        "title": suite.title,
        "service": suite.service,
        "state": matrix.state.value,
        "words": describe_state(matrix),
        "counts": {state.value: matrix.counts.get(state, 0) for state in ShownState},
        "badge": reverse("suite_badge", args=[suite.name, compute_key(suite.name)]),
        "cells": [_build_cell_record(cell, matrix) for cell in matrix.cells],
    }


def _build_cell_record(cell: MatrixCell, matrix: Matrix) -> Record:
    must = next((row.must for row in matrix.rows if row.dependency == cell.dependency), "")
    return {
        "dependency": cell.dependency,
        "fault": cell.fault,
        "must": must,
        "state": cell.state.value,
        "proved": cell.proved.value,
        "reason": cell.reason,
        "obstacle": cell.obstacle,
        "run": str(cell.run.pk) if cell.run is not None else None,
        "proved_at": _format(cell.proved_at),
    }


def build_suite_run_record(suite_run: SuiteRun, *, with_cells: bool = True) -> Record:
    record: Record = {
        "id": str(suite_run.pk),
        "suite": suite_run.suite_name,
        "status": suite_run.outcome if suite_run.state == SuiteRunState.FINISHED else suite_run.state,
        "reason": suite_run.reason,
        "created_at": _format(suite_run.started_at),
        "finished_at": _format(suite_run.finished_at),
        "created_by": suite_run.started_by.get_username() if suite_run.started_by else None,
        "origin": suite_run.started_from,
        "stopping": suite_run.state == SuiteRunState.RUNNING and suite_run.stop_requested_at is not None,
    }
    if with_cells:
        rows = suite_run.cells.select_related("run").defer("run__document", "run__variables")
        record["cells"] = [_build_tried_record(cell) for cell in rows.order_by("order")]
    return record


def _build_tried_record(cell: TriedCell) -> Record:
    run = cell.run
    return {
        "dependency": cell.dependency,
        "fault": cell.fault,
        "state": cell.state,
        "reason": cell.reason,
        "run": str(run.pk) if run is not None else None,
        "waiting_for": run.waiting_for if run is not None and cell.decided_at is None else "",
    }


def _format(at: datetime | None) -> str | None:
    return format_time(at) if at is not None else None
