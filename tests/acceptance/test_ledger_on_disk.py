"""A fault is on disk before the request that injects it is sent: seen from the calls to the kernel."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT, coordinator, processes_with
from tests.servers.loopback import wait_for
from tests.servers.target import running_target

pytestmark = pytest.mark.strace

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
STRACE = ("strace", "-f", "-qq", "-y", "-s", "64", "-e", "trace=pwrite64,fdatasync,sendto", "-o")
LINE = re.compile(r"(?P<thread>\d+) +(?P<begun>\w+\()?(?:<\.\.\. (?P<ended>\w+) resumed>)?(?P<rest>.*)")


def calls(trace: Path) -> Iterator[tuple[str, str]]:
    """Thread and text of each call, in the order in which they ended; of a request, in which they began."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        thread, text = found["thread"], line.partition(" ")[2].strip()
        if text.endswith("<unfinished ...>") and not text.startswith("sendto"):
            begun[thread] = text
        elif found["ended"]:
            yield thread, begun.pop(thread, "")
        else:
            yield thread, text


def test_the_commit_that_opens_a_fault_is_on_disk_before_the_request_is_sent(tmp_path: Path) -> None:
    trace = tmp_path / "calls"
    with running_target() as target, coordinator(tmp_path) as system:
        system.set_up(target=target.url)
        worker = ("manage.py", "db_worker", "--interval", "0.1", "--no-startup-delay")
        tracer = system.start("worker", *worker, inside=(*STRACE, str(trace)))
        system.manage("scenario", "run", str(LONG_FAULT), "--detach")
        wait_for(lambda: target.active, what="the fault is injected")
        for pid, command in processes_with(tmp_path).items():
            if "db_worker" in command and "strace" not in command:
                os.kill(pid, signal.SIGTERM)
        tracer.wait(300)
    seen = list(calls(trace))
    injected = next(
        number
        for number, (_thread, text) in enumerate(seen)
        if text.startswith("sendto") and "POST /fault" in text
    )
    log = [(thread, text) for thread, text in seen[:injected] if "coordinator.sqlite3-wal>" in text]
    ledger, last = next((thread, text) for thread, text in reversed(log) if text.startswith("fdatasync"))
    # Nothing that the ledger's thread has written since its last write reached the disk waits there.
    assert [text for thread, text in log if thread == ledger][-1] == last
    assert any(thread == ledger and text.startswith("pwrite64") for thread, text in log)
