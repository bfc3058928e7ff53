"""What the verb `suite` asks of a coordinator."""

from collections.abc import Sequence
from typing import Protocol

from coordinator_client.records import ListedSuite, SuiteMatrix, SuiteRun


class Suites(Protocol):
    """All methods may raise CoordinatorError."""

    @property
    def suite_poll_seconds(self) -> float:
        """Seconds between two looks at the run of a suite."""
        ...

    def list_suites(self) -> Sequence[ListedSuite]: ...

    def read_suite_document(self, name: str) -> str: ...

    def delete_suite(self, name: str) -> None:
        """Its runs and versions stay. Refused while it is running."""
        ...

    def read_matrix(self, name: str) -> SuiteMatrix: ...

    def start_suite(self, name: str) -> SuiteRun: ...

    def find_suite_run(self, run_id: str) -> SuiteRun: ...

    def stop_suite(self, name: str) -> bool:
        """Request the end of the suite's run. False if the suite is not running or already being stopped."""
        ...

    def render_suite_report(self, run_id: str) -> bytes:
        """JUnit XML."""
        ...
