"""A real sshd on the loopback, in which the user of the tests logs in with a key of the test."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.servers.loopback import free_port, is_listening, wait_for

# Of one connection; by default there may be 10.
MAX_SESSIONS = 2
CONFIGURATION = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
MaxSessions {max_sessions}
"""


def program() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class SshServer:
    folder: Path
    port: int
    host: str = "127.0.0.1"
    pid: int = 0

    @property
    def address(self) -> str:
        return f"{getpass.getuser()}@{self.host}:{self.port}"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        """Its owner may run anything."""
        return self.folder / "key"

    @property
    def limited_key(self) -> Path:
        """Its owner always runs the command of `force`."""
        return self.folder / "limited_key"

    def list_sessions(self) -> list[int]:
        """The processes of sshd that serve a connection each."""
        try:
            return [
                int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        except OSError:
            return []  # it has just ended

    def force(self, command: str) -> None:
        """Let the limited key run this command."""
        free, limited = ((self.folder / f"{name}.pub").read_text() for name in ("key", "limited_key"))
        (self.folder / "authorized_keys").write_text(f'{free}restrict,command="{command}" {limited}')


@contextmanager
def ssh_server(folder: Path, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> Iterator[SshServer]:
    """`inside`: the words before its command that take it to another machine, which has this address."""
    for name in ("host_key", "other_host_key", "key", "limited_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists on this one
    server, process = _start(folder, host, inside)
    try:
        server.force("false")
        host_key = (folder / "host_key.pub").read_text()
        server.known_hosts.write_text(f"[{host}]:{server.port} {host_key}")
        yield server
    finally:
        process.terminate()
        process.wait()


def _start(folder: Path, host: str, inside: Sequence[str]) -> tuple[SshServer, subprocess.Popen[bytes]]:
    """On the next port if another process has taken this one meanwhile."""
    sshd = program()
    assert sshd is not None
    configuration = folder / "sshd_config"
    places = {"address": host, "folder": folder, "max_sessions": MAX_SESSIONS}
    for _ in range(10):
        server = SshServer(folder, free_port(), host)
        configuration.write_text(CONFIGURATION.format(**places, port=server.port))
        process = subprocess.Popen([*inside, sshd, "-D", "-e", "-f", str(configuration)])
        wait_for(
            lambda: process.poll() is not None or is_listening(server.port, host),  # noqa: B023 - called at once
            what="sshd listens",
        )
        if process.poll() is None:
            return replace(server, pid=process.pid), process
    raise AssertionError("sshd does not start")
