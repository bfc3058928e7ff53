"""PostgreSQL fails over in the middle of a fault: `python benchmarks/postgresql_failover.py [SECONDS …]`.

Two servers with synchronous replication. The first is killed, and the second is promoted so many seconds
later: by default 1 and 30, within a lease and beyond it. Ends with 1 unless every fault is undone, in the
ledger, too.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from tests.servers.coordinator import PROJECT, coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import LOOPBACK, PostgreSQL, postgresql, programs
from tests.servers.target import running_target

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
LEASE_SECONDS = 15
ATTACHED = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


class Switch:
    """The address that both servers share: its connections lead to the one that is chosen now."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])

    def run(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection((LOOPBACK, self.upstream), timeout=5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=ends, daemon=True).start()

    @contextmanager
    def running(self) -> Iterator["Switch"]:
        threading.Thread(target=self.run, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def standby(found: Path, primary: PostgreSQL) -> Iterator[PostgreSQL]:
    folder = Path(tempfile.mkdtemp(prefix="coordinator-standby-"))
    server = PostgreSQL(found, folder, LOOPBACK)
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    copying: list[str | Path] = [
        found / "pg_basebackup",
        "--pgdata",
        folder / "data",
        "--write-recovery-conf",
        "--checkpoint=fast",
    ]
    source = [f"--host={LOOPBACK}", f"--port={primary.port}", "--username=coordinator"]
    try:
        subprocess.run([*copying, *source], user=user, cwd=folder, check=True)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def fail_over(seconds: float) -> bool:
    found = programs()
    assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
    with ExitStack() as stack:
        primary = stack.enter_context(postgresql(found))
        second = stack.enter_context(standby(found, primary))
        with psycopg.connect(primary.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            wait_for(lambda: connection.execute(ATTACHED).fetchone() == (1,), what="the standby is in step")
        switch = stack.enter_context(Switch(primary.port).running())
        target = stack.enter_context(running_target())
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="failover-")))
        name = primary.new_database().rpartition("/")[2]
        settings = {
            "DATABASE_URL": f"postgres://coordinator@{LOOPBACK}:{switch.port}/{name}",
            "LEASE_SECONDS": str(LEASE_SECONDS),
        }
        system = stack.enter_context(coordinator(data, **settings))
        system.set_up(target=target.url)
        system.start_worker()
        system.start_watchdog()
        run_id = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
        wait_for(lambda: target.active, what="the fault is injected")
        begun = time.monotonic()
        primary.kill()
        time.sleep(seconds)
        with psycopg.connect(second.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        switch.upstream = second.port
        if seconds < LEASE_SECONDS:
            system.manage("scenario", "stop", run_id)
        wait_for(lambda: not target.active, what="the fault is undone")
        undone = target.undone_at - begun
        ended = "SELECT outcome, rollback FROM scenarios_run WHERE state = 'finished'"
        wait_for(lambda: system.rows(ended), what="the run has ended")
        rows = system.rows(ended)
        open_faults = system.rows("SELECT count(*) FROM scenarios_fault WHERE state <> 'undone'")
        print(f"promoted after {seconds:g} s: undone {undone:.1f} s after the kill, the run ended {rows[0]}")
        print(f"  not undone in the ledger: {open_faults[0][0]}; still broken: {target.active}", flush=True)
        return rows[0][1] == "clean" and open_faults == [(0,)] and target.active == 0


def main() -> int:
    waits = [float(word) for word in sys.argv[1:]] or [1.0, 30.0]
    return 0 if all(fail_over(seconds) for seconds in waits) else 1


if __name__ == "__main__":
    sys.exit(main())
