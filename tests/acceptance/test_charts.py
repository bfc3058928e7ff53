"""A real Prometheus measures a service that is broken: the charts show it, and outlive Prometheus."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.prometheus_server import measuring

pytestmark = pytest.mark.prometheus

DOCUMENT = PROJECT / "tests" / "servers" / "slow-and-measured.yaml"
P99 = "Duration, 99th percentile"
READINGS = "SELECT version FROM scenarios_runcharts WHERE run_id = ? AND saw_end"
HURRY = "UPDATE scenarios_runcharts SET due_at = '2020-01-01' WHERE run_id = ?"


class Measured:
    """A coordinator, and a run of its that has ended."""

    def __init__(self, installed: Coordinator, run: str) -> None:
        self._installed = installed
        self._run = run

    def readings(self) -> int:
        """How often the charts were read, once they were read after the run's end."""
        return sum(version for (version,) in self._rows(READINGS))

    def hurry(self) -> None:
        """Let the charts be due now: their next reading may be minutes away."""
        self._rows(HURRY)

    def report(self, name: str) -> str:
        return self._installed.manage("scenario", "report", self._run, "--format", name)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._installed.rows(query, UUID(self._run).hex)


def start_services(installed: Coordinator, port: int) -> None:
    """The exchange, and the risk monitor that asks it four times a second."""
    address = f"http://127.0.0.1:{port}"
    installed.set_up(exchange=address)
    installed.start_demo_service("exchange", port)
    wait_for(lambda: is_listening(port), what="the exchange listens")
    installed.start_demo_service("risk-monitor", free_port(), "--watches", address)
    installed.start_watchdog()
    installed.start_worker()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Prometheus is gone after the run, and was asked again in vain."""
    folder, port = tmp_path_factory.mktemp("charts"), free_port()
    with ExitStack() as while_measured:
        environment = while_measured.enter_context(measuring(folder, port))
        with coordinator(folder, **environment) as installed:
            start_services(installed, port)
            run = Measured(installed, installed.manage("scenario", "run", str(DOCUMENT), "--detach").strip())
            wait_for(run.readings, what="the charts are read after the run's end")
            while_measured.close()
            before = run.readings()
            run.hurry()
            wait_for(lambda: run.readings() > before, what="they are read again, in vain")
            yield run


@pytest.fixture(scope="module")
def told(measured: Measured) -> dict[str, Any]:
    """The JSON report, asked for when Prometheus was gone."""
    report: dict[str, Any] = json.loads(measured.report("json"))
    return report


def charts(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {chart["title"]: chart for chart in told["charts"]["drawn"]}


def test_every_query_of_probes_and_touched_services_has_a_chart_with_samples(told: dict[str, Any]) -> None:
    found = charts(told)
    probes = {"requests are measured", "slow requests are measured"}
    assert set(found) == probes | {"Requests", "Errors (5xx)", P99}
    for chart in found.values():
        assert sum(isinstance(value, float) for value in chart["series"][0]["values"]) >= 3


def test_the_fault_shows_between_its_injection_and_its_end(told: dict[str, Any]) -> None:
    assert told["status"] == "passed"
    (fault,) = told["faults"]
    chart = charts(told)[P99]
    pairs = list(zip(chart["moments"], chart["series"][0]["values"], strict=True))
    injected, undone = (unix(fault[name]) for name in ("injected_at", "closed_at"))
    before = [value for at, value in pairs if isinstance(value, float) and at < injected]
    # A point shows the seconds before it: the first one after the end may be the first that has the fault.
    during = [value for at, value in pairs if isinstance(value, float) and injected <= at <= undone + 1]
    # One request may be slow by itself on a busy machine.
    assert max(during) >= 0.4
    assert max(during) > median(before)


def test_samples_lie_as_close_together_as_they_were_scraped(told: dict[str, Any]) -> None:
    closest = min(later - earlier for earlier, later in pairwise(charts(told)[P99]["moments"]))
    assert closest in {1.0, 2.0}  # two seconds where a busy machine has made a long run of it


def test_the_reports_have_the_charts_when_prometheus_is_gone_and_say_so(measured: Measured) -> None:
    page = measured.report("html")
    assert page.count("<figure") >= 5  # and those of what the probes saw
    assert page.count("Not updated: Prometheus at http://127.0.0.1:") == 5
    assert "refused the connection" in page
    assert f"| {P99} (exchange) |" in measured.report("md")


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
