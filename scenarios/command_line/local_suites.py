"""The suites of this machine's coordinator, through the application functions."""

from collections.abc import Sequence
from uuid import UUID

from coordinator_client.command_line.coordinator import CommandRefused, SuiteNotFound
from coordinator_client.parsing import parse
from coordinator_client.records import ListedSuite, SuiteMatrix, SuiteRun
from scenarios import models
from scenarios.command_line.local_errors import explain_errors
from scenarios.domain.suite_states import SuiteRunState
from scenarios.suites import running
from scenarios.suites.junit import render_junit
from scenarios.suites.records import build_matrix_record, build_suite_run_record, list_suite_records
from scenarios.suites.storage import SuiteIsRunning, remove_suite

WHO = "the command line"


class LocalSuites:
    suite_poll_seconds = 0.2

    def list_suites(self) -> Sequence[ListedSuite]:
        return [parse(ListedSuite, record) for record in list_suite_records()]

    def read_suite_document(self, name: str) -> str:
        return _find_suite(name).document

    def delete_suite(self, name: str) -> None:
        try:
            remove_suite(_find_suite(name).name)
        except SuiteIsRunning as error:
            raise CommandRefused(str(error)) from error

    def read_matrix(self, name: str) -> SuiteMatrix:
        return parse(SuiteMatrix, build_matrix_record(_find_suite(name)))

    def start_suite(self, name: str) -> SuiteRun:
        try:
            with explain_errors():
                suite_run = running.start_suite(_find_suite(name), origin="cli")
        except SuiteIsRunning as error:
            raise CommandRefused(str(error)) from error
        return parse(SuiteRun, build_suite_run_record(suite_run))

    def find_suite_run(self, run_id: str) -> SuiteRun:
        # The watchdog does so, too; without one, the suite goes on while somebody follows it.
        running.advance(UUID(run_id))
        return parse(SuiteRun, build_suite_run_record(_get_run(run_id)))

    def stop_suite(self, name: str) -> bool:
        suite_run = _find_suite(name).runs.filter(state=SuiteRunState.RUNNING).first()
        return suite_run is not None and running.request_suite_stop(suite_run, by=WHO)

    def render_suite_report(self, run_id: str) -> bytes:
        return render_junit(_get_run(run_id)).encode()


def _find_suite(name: str) -> models.Suite:
    row = models.Suite.objects.filter(name=name).first()
    if row is None:
        raise SuiteNotFound(name, list(models.Suite.objects.values_list("name", flat=True)))
    return row


def _get_run(run_id: str) -> models.SuiteRun:
    return models.SuiteRun.objects.select_related("started_by").get(id=run_id)
