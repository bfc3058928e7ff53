"""Servers as processes: started, killed one by one, and asked what they counted."""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, slots
from metrics_app.ports import MetricsOptions
from tests.exposition import value
from tests.servers.loopback import is_listening, wait_for

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def started(command: Sequence[str], folder: Path, **own: str) -> Iterator["subprocess.Popen[bytes]"]:
    path = f"{folder}{os.pathsep}{PROJECT}"
    environment = {"PATH": os.environ["PATH"], "METRICS": str(folder / "metrics"), "PYTHONPATH": path, **own}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own session: whatever it left
            process.wait(60)


def start(stack: ExitStack, command: Sequence[str], folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A server that listens; the stack ends it."""
    process = stack.enter_context(started(command, folder))
    wait_for(lambda: is_listening(port), what=f"{command[2]} listens")
    return process


class Served:
    """A server that is started again, as systemd would, when it ends with a worker that was killed."""

    def __init__(self, begin: Callable[[], "subprocess.Popen[bytes]"]) -> None:
        self._begin = begin
        self.process = begin()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        def is_so() -> bool:
            if self.process.poll() is not None:
                self.process = self._begin()
            return bool(condition())

        wait_for(is_so, what=what, seconds=600)


@contextmanager
def staying_in(folder: Path) -> Iterator[PrometheusMetricsAdapter]:
    """Keep the metrics directory in use, as another process of the same service does."""
    adapter = PrometheusMetricsAdapter.configured(MetricsOptions(directory=folder / "metrics"))
    try:
        yield adapter
    finally:
        adapter.close()


def kill_a_worker(folder: Path, master: int) -> bool:
    """Kill one of the processes that have a slot, if there is one beside the master."""
    holders = slots.holders(folder / "metrics").values()
    workers = [pid for pid in holders if pid and pid not in {master, os.getpid()}]
    if not workers:
        return False
    try:
        os.kill(random.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def counted(folder: Path, name: str, **labels: str) -> float:
    """What the server counts, while it runs: who comes to a folder in which nobody is begins at zero."""
    adapter = PrometheusMetricsAdapter.configured(MetricsOptions(directory=folder / "metrics"))
    try:
        return value(adapter.get_http_handler()(), name, **labels)
    finally:
        adapter.close()
