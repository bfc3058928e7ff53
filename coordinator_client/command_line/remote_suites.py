"""The suites of another coordinator, through its API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from coordinator_client.command_line.coordinator import SuiteNotFound
from coordinator_client.errors import NotFoundError, NotSupportedError
from coordinator_client.records import ListedSuite, SuiteMatrix, SuiteRun
from coordinator_client.synchronous.client import Client


class RemoteSuites:
    _client: Client
    suite_poll_seconds = 1.0

    def list_suites(self) -> Sequence[ListedSuite]:
        return self._client.suites.list()

    def read_suite_document(self, name: str) -> str:
        with self._explain_missing_suite(name):
            return self._client.suites.document(name)

    def delete_suite(self, name: str) -> None:
        with self._explain_missing_suite(name):
            self._client.suites.delete(name)

    def read_matrix(self, name: str) -> SuiteMatrix:
        with self._explain_missing_suite(name):
            return self._client.suites.matrix(name)

    def start_suite(self, name: str) -> SuiteRun:
        with self._explain_missing_suite(name):
            return self._client.suites.start(name)

    def find_suite_run(self, run_id: str) -> SuiteRun:
        return self._client.suites.get_run(run_id)

    def stop_suite(self, name: str) -> bool:
        with self._explain_missing_suite(name):
            newest = next(iter(self._client.suites.list_runs(name, limit=1)), None)
        return newest is not None and not newest.has_ended and self._client.suites.stop_run(newest.id)

    def render_suite_report(self, run_id: str) -> bytes:
        return self._client.suites.report(run_id)

    @contextmanager
    def _explain_missing_suite(self, name: str) -> Iterator[None]:
        try:
            yield
        except NotSupportedError:
            raise
        except NotFoundError:
            raise SuiteNotFound(name, [suite.name for suite in self.list_suites()]) from None
