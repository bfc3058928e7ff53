"""Child processes are kept running, stopped in order, and leave nothing behind."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator_site import supervisor as supervisor_module
from coordinator_site.supervisor import Child, Supervisor
from tests.servers.loopback import wait_for

PYTHON = [sys.executable, "-c"]
SLEEP = "import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
WITH_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
child.wait()
"""
WAITS_FOR_THE_OTHER = """
import pathlib, signal, sys, time
own, *names = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
pathlib.Path(f"{own}.asked").touch()
while not all(pathlib.Path(f"{name}.asked").exists() for name in names):
    time.sleep(0.01)
"""

Supervise = Callable[..., Supervisor]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    started = []

    def supervise(*children: Child) -> Supervisor:
        supervisor = Supervisor(children, logs=tmp_path / "logs", directory=tmp_path)
        supervisor.start()
        started.append(supervisor)
        return supervisor

    yield supervise
    for supervisor in started:
        list(supervisor.stop())


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_children_that_need_the_others_stop_before_them(supervise: Supervise) -> None:
    target, worker, other = (Child(name, [*PYTHON, SLEEP]) for name in ("target", "worker", "other"))
    worker.needs_others = True
    supervisor = supervise(target, worker, other)
    stopped = []
    for child in supervisor.stop():
        stopped.append(child.name)
        assert not child.running
        if child is worker:
            assert (target.running, other.running) == (True, True)
    assert stopped == ["worker", "other", "target"]


@pytest.mark.parametrize("needs_others", [True, False])
def test_children_are_all_asked_to_end_before_the_first_is_waited_for(
    supervise: Supervise, tmp_path: Path, *, needs_others: bool
) -> None:
    """Each ends only when the other one has been asked, too."""
    names = ("one", "two")
    children = [
        Child(
            name,
            [*PYTHON, WAITS_FOR_THE_OTHER, name, *names],
            stop_seconds=120,
            needs_others=needs_others,
        )
        for name in names
    ]
    supervisor = supervise(*children)
    logs = [tmp_path / "logs" / f"{name}.log" for name in names]
    wait_for(lambda: all("ready" in log.read_text() for log in logs), what="both are ready")
    list(supervisor.stop())
    assert [child.process and child.process.returncode for child in children] == [0, 0]


def test_dead_child_is_reported_and_restarted(supervise: Supervise) -> None:
    child = Child("mortal", [*PYTHON, SLEEP])
    supervisor = supervise(child)
    assert supervisor.revive() == []
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    assert supervisor.revive() == [child]
    wait_for(lambda: supervisor.revive() == [] and child.running, what="it runs again")
    assert len(child.pids) == 2


def test_each_restart_of_a_child_that_dies_at_once_comes_later(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(supervisor_module, "time", SimpleNamespace(monotonic=lambda: now))
    child = Child("short", [*PYTHON, ""])
    supervisor = supervise(child)
    delays: list[float] = []
    while len(delays) < 2:
        if supervisor.revive():
            delays.append(child.restart_at - now)
            now = child.restart_at
        time.sleep(0.01)
    assert delays[1] > 1.5 * delays[0] > 0


def test_a_child_that_ignores_the_wish_to_end_is_killed(supervise: Supervise, tmp_path: Path) -> None:
    child = Child("stubborn", [*PYTHON, STUBBORN], stop_seconds=0.2)
    supervisor = supervise(child)
    wait_for(lambda: "deaf" in (tmp_path / "logs" / "stubborn.log").read_text(), what="it is deaf")
    assert [stopped.name for stopped in supervisor.stop()] == ["stubborn"]
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_descendants_of_a_child_end_with_it(supervise: Supervise, tmp_path: Path) -> None:
    supervisor = supervise(Child("parent", [*PYTHON, WITH_A_CHILD]))
    log = tmp_path / "logs" / "parent.log"
    wait_for(lambda: log.read_text().strip(), what="the grandchild runs")
    grandchild = int(log.read_text())
    assert is_alive(grandchild)
    list(supervisor.stop())
    wait_for(lambda: not is_alive(grandchild), what="the grandchild has ended")
