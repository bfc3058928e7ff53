"""Wall clocks that are set back and ahead under running processes, an hour at a time."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target
from tests.servers.wall_clock import WallClock

pytestmark = pytest.mark.faketime

LEASE_SECONDS = 6
# A process that trusts the clock needs an hour more; the goal itself is held in test_ends_of_a_worker.py.
UNDONE_WITHIN = 20
# The waits are longer than a lease: a process that trusts the clock takes the run over in between.
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: clocks}
spec:
  phases:
    - name: chaos
      hold: 5m
      actions:
        - name: break the target
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault}}
        - {name: first wait, do: {wait: {duration: 7s}}}
        - {name: second wait, do: {wait: {duration: 7s}}}
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture
def system(tmp_path: Path, target: Target) -> Iterator[Coordinator]:
    with coordinator(tmp_path, LEASE_SECONDS=str(LEASE_SECONDS)) as installed:
        installed.set_up(target=target.url)
        yield installed


def events(system: Coordinator) -> dict[str, datetime]:
    """When each event happened by the clock of its writer, in the order of their sequence."""
    query = "SELECT kind || ' ' || subject, at FROM scenarios_event ORDER BY sequence"
    return {name: datetime.fromisoformat(at) for name, at in system.rows(query)}


def test_clocks_that_are_set_an_hour_back_and_ahead_undo_nothing_twice_and_keep_no_fault(
    system: Coordinator, target: Target
) -> None:
    workers, watchdogs = (WallClock(system.data / f"clock-{name}") for name in ("worker", "watchdog"))
    worker = system.start_worker(**workers.environment)
    system.start_watchdog(**watchdogs.environment)
    document = system.data / "scenario.yaml"
    document.write_text(DOCUMENT)
    system.manage("scenario", "run", str(document), "--detach")
    wait_for(
        lambda: "action_finished break the target" in events(system), what="the fault is injected and told"
    )
    workers.step(hours=-1)
    watchdogs.step(hours=+1)
    wait_for(
        lambda: "action_finished first wait" in events(system),
        what="longer than a lease is over",
    )
    workers.step(hours=+1)
    watchdogs.step(hours=-1)
    wait_for(lambda: "action_finished second wait" in events(system), what="as long again is over")
    assert (target.active, target.undone) == (1, 0)
    worker.kill()
    killed_at = time.monotonic()
    wait_for(lambda: "run_finished " in events(system), what="the watchdog has taken the run over")
    assert target.undone_at - killed_at <= UNDONE_WITHIN
    assert (target.injected, target.undone, target.active) == (1, 1, 0)
    told = events(system)
    moments = [told[f"action_finished {name}"] for name in ("break the target", "first wait", "second wait")]
    assert moments[1] < moments[0] < moments[2]
    assert list(told)[-3:] == ["run_taken_over ", "fault_undone break the target", "run_finished "]
    assert system.rows("SELECT count(*), max(sequence) FROM scenarios_event") == [(len(told), len(told))]
