"""A PostgreSQL server for tests, from Debian's package; `postgres` refuses to run as root."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.loopback import free_port, is_listening, wait_for

DEBIAN = Path("/usr/lib/postgresql")
# A test's database need not outlive the machine.
OPTIONS = {"fsync": "off", "max_connections": "60"}
LOOPBACK = "127.0.0.1"


def programs() -> Path | None:
    """The folder with initdb and postgres; Debian keeps it off the PATH."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


class PostgreSQL:
    """One server on a folder: it can be stopped and started again in the middle of a test."""

    def __init__(self, programs: Path, folder: Path, address: str, inside: Sequence[str] = ()) -> None:
        self.options: dict[str, str] = dict(OPTIONS)
        self._programs = programs
        self._folder = folder
        self._address = address
        self._inside = inside
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = free_port()
        self.url = f"postgres://coordinator@{address}:{self.port}/postgres"

    def create(self) -> None:
        shutil.chown(self._folder, self._user)
        options = ["--username=coordinator", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        subprocess.run(
            [self._programs / "initdb", "--pgdata", self._folder / "data", *options],
            user=self._user,
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with (self._folder / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet trust\n")

    def put_first(self, *rules: str) -> None:
        """Begin pg_hba.conf with these lines, at once."""
        file = self._folder / "data" / "pg_hba.conf"
        file.write_text("\n".join([*rules, file.read_text()]))
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        addresses = f"{LOOPBACK},{self._address}"
        options = {
            **self.options,
            "port": self.port,
            "listen_addresses": addresses,
            "unix_socket_directories": self._folder,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user(), self._programs / "postgres", "-D", self._folder / "data", *settings],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._answers, what="PostgreSQL answers")

    def _as_user(self) -> list[str]:
        """The words before a command that is to run as that user, on that machine."""
        if os.geteuid() != 0:
            return [*self._inside]
        user = pwd.getpwnam(self._user)
        return [
            *self._inside,
            "setpriv",
            f"--reuid={user.pw_uid}",
            f"--regid={user.pw_gid}",
            "--clear-groups",
        ]

    def new_database(self, encoding: str = "UTF8") -> str:
        """Create an empty database, and return its address."""
        name = f"coordinator_{next(self._numbers)}"
        options = ["--host=127.0.0.1", f"--port={self.port}", "--username=coordinator"]
        options += ["--template=template0", f"--encoding={encoding}", "--locale=C"]
        subprocess.run([self._programs / "createdb", *options, name], check=True)
        return f"postgres://coordinator@127.0.0.1:{self.port}/{name}"

    def measure_processor_time(self) -> float:
        """Seconds of all its processes, since the server was started."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ticks = 0
        for process in (str(pid), *children):
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                # Of the first process with those that have ended: utime, stime, cutime, cstime.
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def count_refusals(self) -> int:
        """Connections that were refused or cut since the server was created."""
        return (self._folder / "log").read_text(errors="replace").count("FATAL:")

    def stop(self) -> None:
        """Stop it like `pg_ctl stop -m fast`, so that its clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(300)
            self._process = None

    def kill(self) -> None:
        """Kill all of its processes at once, with SIGKILL."""
        if self._process is not None:
            pid = self._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for process in (pid, *map(int, children)):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.wait(300)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        ready: list[Path | str] = [
            self._programs / "pg_isready",
            "--quiet",
            f"--host={self._address}",
            f"--port={self.port}",
        ]
        return is_listening(self.port, self._address) and subprocess.run(ready, check=False).returncode == 0


@contextmanager
def postgresql(
    programs: Path, address: str = LOOPBACK, inside: Sequence[str] = (), **options: str
) -> Iterator[PostgreSQL]:
    """With `address` it listens there too, for the machines of that network.

    `inside`: the words before its command that take it to another machine, which has this address. `options`:
    its settings, as `max_connections`.
    """
    # Not pytest's own folder: that one is closed to the other user.
    folder = Path(tempfile.mkdtemp(prefix="coordinator-postgresql-"))
    server = PostgreSQL(programs, folder, address, inside)
    server.options |= options
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
