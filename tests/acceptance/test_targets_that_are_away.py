"""Targets that are gone, or silent, while their faults must be undone. Real processes, all of them."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.exposition import value
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.lasting_target import LastingTarget, lasting_target
from tests.servers.loopback import wait_for

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: two-faults}
spec:
  phases:
    - name: chaos
      hold: 5m
      actions:
        - name: break the first
          timeout: 2s
          do: {http: {service: first, method: POST, path: /fault}}
          undo: {http: {service: first, method: DELETE, path: /fault}}
        - name: break the second
          timeout: 2s
          do: {http: {service: second, method: POST, path: /fault}}
          undo: {http: {service: second, method: DELETE, path: /fault}}
"""


@pytest.fixture
def first(tmp_path: Path) -> Iterator[LastingTarget]:
    with lasting_target(tmp_path / "first") as running:
        yield running


@pytest.fixture
def second(tmp_path: Path) -> Iterator[LastingTarget]:
    with lasting_target(tmp_path / "second") as running:
        yield running


@pytest.fixture
def system(tmp_path: Path, first: LastingTarget, second: LastingTarget) -> Iterator[Coordinator]:
    with coordinator(tmp_path) as installed:
        installed.set_up(first=first.url, second=second.url)
        yield installed


def first_verdict(system: Coordinator) -> tuple[str, str]:
    outcome, rollback = system.rows("SELECT outcome, rollback FROM scenarios_run ORDER BY queued_at")[0]
    return outcome, rollback


def held(system: Coordinator) -> list[str]:
    return [service for (service,) in system.rows("SELECT service FROM scenarios_hold ORDER BY service")]


def seconds_between_undos(system: Coordinator, action: str) -> list[float]:
    query = (
        "SELECT at FROM scenarios_event WHERE kind = 'fault_undo_failed' AND subject = ? ORDER BY sequence"
    )
    moments = (datetime.fromisoformat(at) for (at,) in system.rows(query, action))
    return [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]


def metric(system: Coordinator, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{system.port}/metrics") as answer:
        return value(bytes(answer.read()), name, **labels)


def start_run(system: Coordinator) -> None:
    document = system.data / "scenario.yaml"
    document.write_text(DOCUMENT)
    system.manage("scenario", "run", str(document), "--detach")


@pytest.fixture
def away(system: Coordinator, first: LastingTarget, second: LastingTarget) -> None:
    """The first target is gone and the second silent when their faults must be undone; a next run waits."""
    worker = system.start_worker()
    system.start_web()
    start_run(system)
    wait_for(lambda: first.is_broken and second.is_broken, what="both faults are injected")
    first.vanish()
    second.fall_silent()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(300) == os.EX_OK
    system.start_worker()
    start_run(system)
    system.start_watchdog()


@pytest.mark.usefixtures("away")
def test_faults_whose_targets_are_away_hold_their_services_and_are_tried_again_until_they_are_undone(
    system: Coordinator, first: LastingTarget, second: LastingTarget
) -> None:
    wait_for(
        lambda: len(seconds_between_undos(system, "break the first")) > 1,
        what="it is tried again",
    )
    soon, later = seconds_between_undos(system, "break the first")[:2]
    assert later > soon
    assert first_verdict(system) == ("interrupted", "dirty")
    assert held(system) == ["first", "second"]
    assert metric(system, "scenario_outstanding_faults") == 2
    first.come()
    wait_for(lambda: "undone" in first.story, what="the fault of the first is undone")
    wait_for(lambda: held(system) == ["second"], what="it is let go")
    assert first_verdict(system) == ("interrupted", "dirty")
    second.wake()
    wait_for(lambda: first.is_broken and second.is_broken, what="the run that waited begins")
    assert first_verdict(system) == ("interrupted", "clean")
    assert metric(system, "scenario_outstanding_faults") == 0
    assert metric(system, "scenario_chaos_events_total", event="undone") == 2
    assert system.rows("SELECT count(*) FROM scenarios_event WHERE kind = 'fault_undone'") == [(2,)]
