"""Carries suites out: one cell after another, each as an ordinary run.

What comes next is decided from the database alone, in one transaction for each step: a process that calls
`advance` may die at any moment, and any number of processes may call it.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from scenarios.database.errors import is_away
from scenarios.domain.errors import BeingDeleted, InvalidDocument, InvalidVariables, ScenarioDeleted
from scenarios.domain.outcomes import ApprovalState, Outcome, RunState
from scenarios.domain.suite_states import PROVED, SuiteOutcome, SuiteRunState, TriedState
from scenarios.models import (
    Approval,
    GlobalStop,
    Run,
    Scenario,
    Schedule,
    Service,
    Suite,
    SuiteCell,
    SuiteRun,
    TriedCell,
)
from scenarios.runs import commands as run_commands
from scenarios.suites.composition import compose_cell
from scenarios.suites.documents import SuiteDocument, read_stored_suite
from scenarios.suites.faults import FAULT_BY_NAME
from scenarios.suites.obstacles import explain_missing_service, find_obstacles, read_addresses
from scenarios.suites.storage import SuiteIsRunning, find_environment, list_cells, save_cells
from scenarios.suites.verdicts import CellVerdict, judge_run
from scenarios.suites.words import Dependency

logger = logging.getLogger(__name__)
NOT_TRIED = "the run of the suite ended before its turn"


def start_suite(
    suite: Suite, *, origin: str, by: User | None = None, schedule: Schedule | None = None
) -> SuiteRun:
    """Write the run of the suite with all its cells, and begin the first one.

    Raises:
        InvalidDocument: the suite no longer fits the installed drivers.
        SuiteIsRunning: one of its runs goes on.
    """
    document = read_stored_suite(suite.document)
    with transaction.atomic():
        suite_run = SuiteRun(
            suite=suite,
            suite_name=suite.name,
            document=suite.document,
            started_by=by,
            started_from=origin,
            schedule=schedule,
        )
        _insert(suite_run)
        cells = list_cells(document)
        obstacles = find_obstacles(document, cells)
        TriedCell.objects.bulk_create(
            _build_cell(suite_run, order, dependency.service, fault.name, obstacles)
            for order, (dependency, fault) in enumerate(cells)
        )
        save_cells(suite, document)
    advance(suite_run.id)
    suite_run.refresh_from_db()
    return suite_run


def _insert(suite_run: SuiteRun) -> None:
    try:
        with transaction.atomic():
            suite_run.save(force_insert=True)
    except IntegrityError as error:
        other = SuiteRun.objects.filter(suite=suite_run.suite, state=SuiteRunState.RUNNING).first()
        if other is None:
            raise
        raise SuiteIsRunning(
            f"Suite {suite_run.suite_name!r} cannot be started now, because its run {other.short_id} goes on."
        ) from error


def _build_cell(
    suite_run: SuiteRun, order: int, dependency: str, fault: str, obstacles: dict[tuple[str, str], str]
) -> TriedCell:
    cell = TriedCell(suite_run=suite_run, order=order, dependency=dependency, fault=fault)
    if obstacle := obstacles.get((dependency, fault)):
        cell.state, cell.reason, cell.decided_at = TriedState.SKIPPED, obstacle, timezone.now()
    return cell


def request_suite_stop(suite_run: SuiteRun, *, by: str) -> bool:
    """Ask for the end of the suite's run, and of the run that it has begun. Returns False if it has ended."""
    request = {"stop_requested_at": timezone.now(), "stop_requested_by": by[:200]}
    going_on = SuiteRun.objects.filter(id=suite_run.id, state=SuiteRunState.RUNNING)
    asked = going_on.filter(stop_requested_at__isnull=True).update(**request)
    advance(suite_run.id)
    return bool(asked)


def advance_all() -> None:
    """Take one step of each suite that runs. An error in one delays no other; it is raised at the end."""
    errors: list[Exception] = []
    running = SuiteRun.objects.filter(state=SuiteRunState.RUNNING).order_by("started_at")
    for suite_run_id in list(running.values_list("id", flat=True)):
        try:
            advance(suite_run_id)
        except Exception as error:
            if is_away(error):
                raise
            errors.append(error)
    if errors:
        raise errors[0]


def advance(suite_run_id: UUID) -> None:
    """Judge the run that has ended, and begin the next one. Does nothing while a run goes on."""
    with transaction.atomic():
        rows = SuiteRun.objects.select_for_update(of=("self",)).select_related("suite", "started_by")
        suite_run = rows.filter(id=suite_run_id, state=SuiteRunState.RUNNING).first()
        if suite_run is None:
            return
        try:
            document = read_stored_suite(suite_run.document)
        except InvalidDocument as error:
            _finish(suite_run, f"the suite does not fit the installed drivers: {error}")
            return
        _Turn(suite_run, document).take()


class _Turn:
    """One step of a suite's run, whose row is locked."""

    def __init__(self, suite_run: SuiteRun, document: SuiteDocument) -> None:
        self._suite_run = suite_run
        self._document = document
        self._dependencies = {each.service: each for each in document.spec.depends_on}

    def take(self) -> None:
        current = self._suite_run.cells.filter(state=TriedState.RUNNING).select_related("run").first()
        ending = ""
        if current is not None:
            if current.run is not None and not self._has_ended(current.run):
                return
            ending = self._decide(current)
        if self._suite_run.stop_requested_at is not None:
            ending = f"stopped by {self._suite_run.stop_requested_by}"
        if ending:
            _finish(self._suite_run, ending)
        elif not self._begin_next():
            _finish(self._suite_run)

    def _has_ended(self, run: Run) -> bool:
        """Whether the cell's run is over. One that has not begun ends at once with a stop of the suite."""
        if run.state == RunState.FINISHED:
            return True
        if self._suite_run.stop_requested_at is None or run.stop_requested_at is not None:
            return False
        run_commands.request_stop(run, by=self._suite_run.stop_requested_by)
        run.refresh_from_db()
        return run.state == RunState.FINISHED

    def _decide(self, cell: TriedCell) -> str:
        """Write what the cell's run has shown; why the suite's run ends with it, "" if it goes on."""
        if cell.run is None:
            _note(cell, CellVerdict(TriedState.ERRORED, "its run was deleted"))
            return ""
        verdict = judge_run(cell.run, self._dependencies[cell.dependency])
        _note(cell, verdict)
        self._update_matrix(cell, cell.run, verdict)
        return _find_ending(cell.run)

    def _update_matrix(self, cell: TriedCell, run: Run, verdict: CellVerdict) -> None:
        """The suite may have been changed since: cells that it no longer has are not updated.

        If it is now for another environment, none are: a proof in staging says nothing about production.
        """
        # Locked, because `save_suite` deletes the proofs of another environment.
        suite = Suite.objects.select_for_update(no_key=True).filter(runs=self._suite_run).first()
        if suite is None or find_environment(suite.document) != (self._document.spec.environment or ""):
            return
        rows = SuiteCell.objects.filter(suite=suite, dependency=cell.dependency, fault=cell.fault)
        if verdict.state == TriedState.SKIPPED:
            rows.update(obstacle=verdict.reason)
        if verdict.state not in PROVED:
            return
        proved_at = run.finished_at or timezone.now()
        fresh_for = timedelta(seconds=self._document.spec.fresh_for)
        rows.update(
            state=verdict.state.value,
            reason=verdict.reason,
            obstacle="",
            run=run,
            proved_at=proved_at,
            fresh_until=proved_at + fresh_for,
        )

    def _begin_next(self) -> bool:
        """Begin the run of the first cell that can be tried; False if none is left."""
        for cell in self._suite_run.cells.filter(state=TriedState.WAITING):
            try:
                with transaction.atomic():
                    self._begin(cell, self._dependencies[cell.dependency])
            except (InvalidDocument, InvalidVariables) as error:
                _note(cell, CellVerdict(TriedState.SKIPPED, f"its scenario cannot be run: {error}"))
            except BeingDeleted:
                _note(cell, CellVerdict(TriedState.SKIPPED, "its scenario is being deleted"))
            except (Scenario.DoesNotExist, ScenarioDeleted):
                _note(cell, CellVerdict(TriedState.SKIPPED, "its scenario is not stored any more"))
            except Service.DoesNotExist:
                rule = explain_missing_service(self._document, cell.dependency)
                _note(cell, CellVerdict(TriedState.SKIPPED, rule))
            else:
                return True
        return False

    def _begin(self, cell: TriedCell, dependency: Dependency) -> None:
        fault = FAULT_BY_NAME[cell.fault]
        scenario = Scenario.objects.get(name=fault.find_scenario(dependency.kind))
        addresses = read_addresses(self._document, [dependency.service])
        if dependency.service not in addresses:
            raise Service.DoesNotExist
        url, _proxy = addresses[dependency.service]
        made = compose_cell(self._document, dependency, fault, scenario.document, url)
        cell.run = run_commands.start_run(
            made.source,
            made.variables,
            origin=self._suite_run.started_from,
            scenario=scenario,
            by=self._suite_run.started_by,
            environment=self._document.spec.environment or "",
        )
        cell.state = TriedState.RUNNING
        cell.save(update_fields=["run", "state"])


def _find_ending(run: Run) -> str:
    """Why the suite's run ends with this run; "" if it goes on."""
    if run.outcome != Outcome.ABORTED:
        return ""
    if (stop := GlobalStop.objects.filter(pulled_at__isnull=False).first()) is not None:
        return str(stop)
    if run.stop_requested_at is not None:
        return f"its run {run.short_id} was stopped by {run.stop_requested_by}"
    refused = Approval.objects.filter(run=run, state__in=(ApprovalState.REFUSED, ApprovalState.EXPIRED))
    return f"its run {run.short_id} was not approved: {run.reason}" if refused.exists() else ""


def _note(cell: TriedCell, verdict: CellVerdict, at: datetime | None = None) -> None:
    cell.state, cell.reason, cell.decided_at = verdict.state, verdict.reason, at or timezone.now()
    cell.save(update_fields=["state", "reason", "decided_at"])


def _finish(suite_run: SuiteRun, aborted: str = "") -> None:
    now = timezone.now()
    waiting = suite_run.cells.filter(state__in=(TriedState.WAITING, TriedState.RUNNING))
    waiting.update(state=TriedState.SKIPPED, reason=NOT_TRIED, decided_at=now)
    counts = Counter(suite_run.cells.values_list("state", flat=True))
    suite_run.state, suite_run.finished_at = SuiteRunState.FINISHED, now
    suite_run.outcome = _find_outcome(counts, aborted)
    summary = ", ".join(f"{counts[state]} {state}" for state in TriedState if counts[state])
    suite_run.reason = f"{aborted}; {summary}" if aborted else summary
    suite_run.save(update_fields=["state", "finished_at", "outcome", "reason"])
    logger.info("Suite %s: %s: %s", suite_run.suite_name, suite_run.outcome, suite_run.reason)


def _find_outcome(counts: Counter[str], aborted: str) -> SuiteOutcome:
    if aborted:
        return SuiteOutcome.ABORTED
    if counts[TriedState.FAILED]:
        return SuiteOutcome.FAILED
    if counts[TriedState.ERRORED] or not any(counts[state] for state in PROVED):
        return SuiteOutcome.ERRORED
    return SuiteOutcome.PASSED
