"""A service that has become slower to recover: real runs of its scenario report it, and fail."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scenarios.domain.outcomes import Outcome
from scenarios.domain.usual_values import MIN_VALUES
from scenarios.library import services as registered_services
from scenarios.models import Run
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from scenarios.runs.comparisons import compare_run
from scenarios.runs.history import read_history
from tests.servers.serving import serving

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: recovering}
spec:
  timeout: 10m
  regression: {expect: {time_to_recover: {at_most: 1.2x}}}
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: shop, method: POST, path: /fault}}
          undo: {http: {service: shop, method: DELETE, path: /fault}}
    - name: recovery
      validations:
        - name: it answers again
          within: 5m
          every: 300ms
          probe: {http: {service: shop, path: /health}}
          expect: {status: 200}
"""
USUAL = 2


class RecoveringServer(ThreadingHTTPServer):
    """`failures`: how many requests fail after a fault. A time would make slow machines look recovered."""

    failures = USUAL
    left = 0


class Handler(BaseHTTPRequestHandler):
    server: RecoveringServer

    def do_GET(self) -> None:
        self.server.left -= 1
        self._answer(503 if self.server.left >= 0 else 200)

    def do_POST(self) -> None:
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.left = self.server.failures
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def server() -> Iterator[RecoveringServer]:
    with serving(RecoveringServer(("127.0.0.1", 0), Handler)) as running:
        registered_services.register_service("shop", f"http://127.0.0.1:{running.server_port}")
        yield running


def carry_out() -> Run:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def test_a_recovery_that_takes_three_times_as_long_is_unusual_and_fails_the_run(
    server: RecoveringServer,
) -> None:
    for _number in range(MIN_VALUES):
        run = carry_out()
        assert run.outcome == Outcome.PASSED, run.reason
    server.failures = 3 * USUAL
    slow = carry_out()
    assert slow.outcome == Outcome.FAILED
    assert slow.reason.startswith("the time to recover was ")
    assert "more than 1.2x the median of the last " in slow.reason
    compared = compare_run(read_history(slow)).time_to_recover
    assert compared is not None
    assert compared.is_unusual
    (validation,) = (step for step in read_history(slow).validations if step.phase == "recovery")
    assert validation.attempts == 3 * USUAL + 1
