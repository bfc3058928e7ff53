"""A fault on one machine is not undone on another: two machines by their names, in UTS namespaces."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.domain.worker_commands import quick_worker
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.network_namespaces

# A process that is stopped, a file that is made: neither can be seen from another machine.
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: on-one-host}
spec:
  phases:
    - name: chaos
      hold: 5m
      actions:
        - name: break the target
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault}}
        - name: pause the process
          do: {signal: {pidfile: FOLDER/sleeper.pid, signal: STOP}}
          undo: {signal: {pidfile: FOLDER/sleeper.pid, signal: CONT}}
        - name: break the disk
          do: {command: {run: [touch, FOLDER/broken]}}
          undo: {command: {run: [rm, FOLDER/broken]}}
"""


def machine(name: str) -> tuple[str, ...]:
    """The words before a command that is to run on a machine of this name; its process id stays the same."""
    return ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name)


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target("127.0.0.1") as running:
        yield running


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as process:
        (tmp_path / "sleeper.pid").write_text(f"{process.pid}\n")
        yield process.pid
        process.kill()


@pytest.fixture
def system(tmp_path: Path, target: Target) -> Iterator[Coordinator]:
    allowed = {"ALLOWED_COMMANDS": "touch,rm", "ALLOWED_PIDFILE_DIRS": str(tmp_path)}
    with coordinator(tmp_path, **allowed) as installed:
        installed.set_up(target=target.url)
        yield installed


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def standing(system: Coordinator) -> dict[str, str]:
    return dict(system.rows("SELECT action, state FROM scenarios_fault"))


def verdict(system: Coordinator) -> tuple[str, str]:
    ((outcome, rollback),) = system.rows("SELECT outcome, rollback FROM scenarios_run")
    return outcome, rollback


def test_a_machine_that_takes_a_run_over_leaves_what_is_on_the_other_to_the_watchdog_there(
    system: Coordinator, target: Target, sleeper: int, tmp_path: Path
) -> None:
    document = tmp_path / "on-one-host.yaml"
    document.write_text(DOCUMENT.replace("FOLDER", str(tmp_path)))
    worker = system.start("worker", "manage.py", *quick_worker("db"), inside=machine("alpha"))
    run = system.manage("scenario", "run", str(document), "--detach").strip()
    system.wait_for_faults(3)
    broken = tmp_path / "broken"
    assert target.active
    assert is_stopped(sleeper)
    assert broken.exists()
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    system.start("beta", "manage.py", "watchdog", inside=machine("beta"))
    wait_for(lambda: not target.active, what="the other machine undoes what it can reach")
    wait_for(lambda: verdict(system) == ("interrupted", "dirty"), what="the run ends")
    left = {"pause the process": "outstanding", "break the disk": "outstanding"}
    assert standing(system) == {"break the target": "undone", **left}
    assert is_stopped(sleeper)
    assert broken.exists()
    listed = system.manage("scenario", "faults", "--outstanding", "--json")
    assert listed.count("waiting for host 'alpha") == 2

    system.start("alpha", "manage.py", "watchdog", inside=machine("alpha"))
    wait_for(lambda: verdict(system) == ("interrupted", "clean"), what="it is undone there")
    assert not is_stopped(sleeper)
    assert not broken.exists()
    ((tries,),) = system.rows("SELECT sum(undo_tries) FROM scenarios_fault")
    assert tries == 0  # nobody has tried it in vain
    assert run in system.manage("scenario", "runs", "--json")
    os.kill(sleeper, 0)
