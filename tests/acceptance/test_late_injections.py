"""A target that goes on with an injection after it was cut off is not left broken. With real processes."""

import json
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.late_injections import Left, late_injections
from tests.servers.coordinator import Coordinator, command, coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.slow

# Longer than an injection takes in these tests, whatever the machine does meanwhile: both run from the moment
# at which it was asked for, and this one only from the first undo on.
LATE_SECONDS, LATE_BY = 6, 3.0
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: late}}
spec:
  timeout: {run_timeout}
  guards: {guards}
  phases:
    - name: chaos
      hold: {hold}
      actions:
        - name: break it
          timeout: {action_timeout}
          do: {{http: {{service: target, method: POST, path: /fault}}}}
          undo: {{http: {{service: target, method: DELETE, path: /fault}}}}
          {more}
"""
FAILING_GUARD = "[{name: never, probe: {http: {service: target, path: /calm}}, expect: {status: 200}}]"
PROOF = "undone: {probe: {http: {service: target, path: /health}}, expect: {status: 200}}"
End = Callable[[Coordinator, "subprocess.Popen[bytes]", str], object]


def nothing(_system: Coordinator, _worker: "subprocess.Popen[bytes]", _run: str) -> None:
    """The document's own words end it."""


def stop(system: Coordinator, _worker: "subprocess.Popen[bytes]", run: str) -> None:
    system.manage("scenario", "stop", run)


def told(number: signal.Signals) -> End:
    return lambda _system, worker, _run: worker.send_signal(number)


WAYS: dict[str, tuple[dict[str, str], End]] = {
    "a stop": ({}, stop),
    "the action's timeout": ({"action_timeout": "500ms"}, nothing),
    # It must not be over before the injection is asked for, and the injection must last longer.
    "the run's timeout": ({"run_timeout": "6s", "action_timeout": "12s", "hold": "1s"}, nothing),
    "a guard": ({"guards": FAILING_GUARD}, nothing),
    "kill -9 of the worker": ({}, told(signal.SIGKILL)),
    "SIGTERM of the worker": ({}, told(signal.SIGTERM)),
}


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        running.late_by = LATE_BY
        yield running


@pytest.fixture
def system(tmp_path: Path, target: Target) -> Iterator[Coordinator]:
    with coordinator(tmp_path, LATE_INJECTION_SECONDS=str(LATE_SECONDS)) as installed:
        installed.set_up(target=target.url)
        yield installed


def states(system: Coordinator) -> list[str]:
    return [state for (state,) in system.rows("SELECT state FROM scenarios_fault")]


def listed(system: Coordinator, *words: str) -> list[str]:
    """The states of the faults that the command line lists."""
    items = json.loads(system.manage("scenario", "faults", "--json", *words))["items"]
    return [str(fault["state"]) for fault in items]


def rollback(system: Coordinator) -> str:
    """How the undoing of the only run's faults ended; empty before the run has ended."""
    ((found,),) = system.rows("SELECT rollback FROM scenarios_run")
    return str(found)


def document(system: Coordinator, **words: str) -> str:
    path = system.data / "late.yaml"
    usual = {"run_timeout": "5m", "guards": "[]", "action_timeout": "5s", "more": "", "hold": "1m"}
    path.write_text(DOCUMENT.format(**{**usual, **words}))
    return str(path)


def undone_again(system: Coordinator, target: Target, words: dict[str, str], end: End) -> None:
    system.start_watchdog()
    worker = system.start_worker()
    run = system.manage("scenario", "run", document(system, **words), "--detach").strip()
    wait_for(lambda: target.asked, what="the injection is asked for")
    end(system, worker, run)
    wait_for(lambda: rollback(system), what="the run ends")
    wait_for(lambda: target.injected, what="the injection arrives")
    wait_for(lambda: states(system) == ["undone"], what="the fault is closed")
    assert rollback(system) == "clean"
    assert (target.injected, target.active) == (1, 0)


@pytest.mark.parametrize(("words", "end"), WAYS.values(), ids=WAYS)
def test_cut_off_injection_is_undone_again_after_it_arrives(
    system: Coordinator, target: Target, words: dict[str, str], end: End
) -> None:
    target.late_by = 9.0 if "run_timeout" in words else LATE_BY
    undone_again(system, target, words, end)


@pytest.mark.postgresql
def test_it_is_undone_again_on_postgresql(
    tmp_path: Path, target: Target, postgresql_server: PostgreSQL
) -> None:
    settings = {"LATE_INJECTION_SECONDS": str(LATE_SECONDS), "DATABASE_URL": postgresql_server.new_database()}
    with coordinator(tmp_path, **settings) as system:
        system.set_up(target=target.url)
        undone_again(system, target, {}, told(signal.SIGKILL))


@pytest.mark.parametrize(
    ("more", "rolled_back", "state"), [("", "unverified", "unverified"), (PROOF, "clean", "watched")]
)
def test_the_run_does_not_wait_for_that_and_says_what_is_known(
    tmp_path: Path, target: Target, more: str, rolled_back: str, state: str
) -> None:
    with coordinator(tmp_path, LATE_INJECTION_SECONDS="3600") as system:
        system.set_up(target=target.url)
        system.start_worker()
        words = ("scenario", "run", document(system, action_timeout="500ms", more=more))
        with command(system.data, *words, **system.environment) as running:
            assert running.stdout is not None
            output = running.stdout.read()
            assert running.wait(300) == 3, output
        assert "ERRORED in " in output
        assert f"rollback {rolled_back}" in output
        assert listed(system) == [state]
        assert listed(system, "--outstanding") == ([state] if state == "unverified" else [])


def test_the_benchmark_finds_no_target_broken_whose_injections_were_late() -> None:
    """In full it takes 100 targets and up to 20 s: see benchmarks/run_lifecycle.py."""
    chance = random.Random(1)  # noqa: S311 - it chooses moments
    left = late_injections(4, chance, late_by=(1.0, 2.0), late_seconds=5)
    assert left == Left(cases=4, arrived=4, broken=0)
