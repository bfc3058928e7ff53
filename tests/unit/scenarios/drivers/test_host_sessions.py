"""Processes of the host program that answer one call after another, by a real sshd."""

import asyncio
import fcntl
import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from injector.host.bundle import READER
from scenarios.domain.errors import StepFailed, StepNotSent
from scenarios.drivers import host_calls, host_connections, host_sessions, host_ssh
from scenarios.drivers.gate import AddressInfo, admit
from scenarios.drivers.host import Host
from scenarios.drivers.host_arguments import HostArguments
from scenarios.drivers.host_sessions import build_serving_command
from scenarios.ports import FaultCall
from tests.servers.loopback import free_port, wait_for
from tests.servers.ssh_server import MAX_SESSIONS, SshServer
from tests.servers.target_host import PROGRAM, read_state, write_program
from tests.unit.scenarios.drivers.conftest import Hosts

pytestmark = pytest.mark.ssh_server

DRIVER = Host()
LOOK = {"do": "is_present", "id": "f1"}


class Starts:
    """The processes of Python that were started on the host, by a program that notes each."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "starts"
        self._file.write_text("")
        self.python = folder / "python"
        self.python.write_text(f'#!/bin/sh\necho $$ >> {self._file}\nexec {sys.executable} "$@"\n')
        self.python.chmod(0o755)

    def list(self) -> list[int]:
        return [int(line) for line in self._file.read_text().split()]


@pytest.fixture
def starts(there: Hosts, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Of the host `there`, which has all the time it needs to start one."""
    for name in ("START_SECONDS", "MAX_START_SECONDS", "TURN_SECONDS"):
        monkeypatch.setattr(host_sessions, name, 120.0)
    monkeypatch.setattr(host_connections, "OPEN_SECONDS", 120.0)
    found = Starts(tmp_path)
    settings.HOST_PROGRAM_COMMAND = settings.HOST_PROGRAM_COMMAND.replace(sys.executable, str(found.python))
    return found


async def look(there: Hosts, times: int = 1) -> list[bool]:
    calls = (host_calls.call(there.registered[0], LOOK, there) for _ in range(times))
    return [bool(answer["present"]) for answer in await asyncio.gather(*calls)]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep the calls of a host program that remembers its faults there waiting."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def wait_until_waiting(pid: int, folder: Path) -> None:
    """Until this process of the host program has read a question, and waits for the lock."""

    def has_lock_open() -> bool:
        return any(read_link(file) == str(folder / "lock") for file in Path(f"/proc/{pid}/fd").iterdir())

    def read_link(file: Path) -> str:
        with suppress(FileNotFoundError):  # just closed
            return str(file.readlink())
        return ""

    await asyncio.to_thread(wait_for, has_lock_open, what="the host program waits")


async def test_one_process_of_the_host_serves_a_whole_run(
    there: Hosts, starts: Starts, shop: int, pause: HostArguments
) -> None:
    fault = FaultCall("f1", 60, await DRIVER.choose_target(pause, there))
    await DRIVER.inject(pause, there, fault)
    assert read_state(shop) == "T"
    await DRIVER.renew(pause, there, fault)
    assert await DRIVER.is_present(pause, there, fault)
    assert await DRIVER.remove(pause, there, fault)
    assert read_state(shop) != "T"
    assert len(starts.list()) == 1


async def test_calls_at_the_same_time_share_a_connection_and_a_process(
    there: Hosts, starts: Starts, ssh: SshServer
) -> None:
    before = set(ssh.list_sessions())
    assert await look(there, 20) == [False] * 20
    assert len(set(ssh.list_sessions()) - before) == 1
    assert len(starts.list()) == 1


async def test_the_process_ends_with_the_run(there: Hosts, starts: Starts) -> None:
    await asyncio.to_thread(asyncio.run, look(there))
    (pid,) = starts.list()
    await asyncio.to_thread(wait_for, lambda: read_state(pid) in {"", "Z"}, what="the process ends")


async def test_a_process_that_was_killed_between_calls_is_started_again(
    there: Hosts, starts: Starts, ssh: SshServer
) -> None:
    await look(there)
    connections = set(ssh.list_sessions())
    os.kill(starts.list()[0], signal.SIGKILL)
    assert await look(there) == [False]
    assert len(starts.list()) == 2
    assert set(ssh.list_sessions()) <= connections


async def test_a_process_that_is_killed_during_a_call_leaves_it_unanswered(
    there: Hosts, starts: Starts, tmp_path: Path
) -> None:
    await look(there)
    with locked(tmp_path / "remote"):
        call = asyncio.create_task(look(there))
        await wait_until_waiting(starts.list()[0], tmp_path / "remote")
        os.kill(starts.list()[0], signal.SIGKILL)
        with pytest.raises(StepFailed, match="broke the connection: the host program has ended"):
            await call
    assert await look(there) == [False]


async def test_a_call_that_is_given_up_leaves_no_answer_for_the_next_one(
    there: Hosts, starts: Starts, tmp_path: Path
) -> None:
    await look(there)
    request = {"do": "describe"}
    with locked(tmp_path / "remote"):
        call = asyncio.create_task(host_calls.call(there.registered[0], request, there))
        await wait_until_waiting(starts.list()[0], tmp_path / "remote")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await look(there) == [False]


async def test_a_call_that_takes_long_delays_others_only_for_a_while(
    there: Hosts, starts: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_sessions, "TURN_SECONDS", 0.3)
    await look(there)
    with locked(tmp_path / "remote"):
        calls = [asyncio.create_task(look(there)) for _ in range(2)]
        await asyncio.to_thread(wait_for, lambda: len(starts.list()) == 2, what="one has another process")
    assert await asyncio.gather(*calls) == [[False], [False]]


async def test_a_forced_command_serves(
    there: Hosts, starts: Starts, ssh: SshServer, settings: Any, tmp_path: Path
) -> None:
    settings.SSH_KEYS = (ssh.limited_key,)
    program = write_program(tmp_path)
    ssh.force(f"{starts.python} -I {program} --state {tmp_path}/forced --allow-list {tmp_path}/none.json")
    for _ in range(3):
        assert await look(there) == [False]
    assert len(starts.list()) == 1


@pytest.fixture
def earlier(starts: Starts, ssh: SshServer, settings: Any, tmp_path: Path) -> Starts:
    """A program of an earlier version is forced: it reads all its input, and does what the last line says."""
    settings.SSH_KEYS = (ssh.limited_key,)
    script = tmp_path / "earlier"
    answer = f"{starts.python} {PROGRAM} --state {tmp_path}/forced --allow-list {tmp_path}/none.json"
    script.write_text(f"#!/bin/sh\ntail -n 1 | sed 's/^# request: //' | {answer}\n")
    script.chmod(0o755)
    ssh.force(str(script))
    return starts


async def test_a_program_of_an_earlier_version_is_started_for_each_call(
    there: Hosts, earlier: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_sessions, "START_SECONDS", 0.2)
    assert await look(there) == [False]
    waited = len(earlier.list())  # the one that was asked in vain to serve among them
    monkeypatch.setattr(host_sessions, "START_SECONDS", 600.0)
    for _ in range(2):
        assert await look(there) == [False]
    assert len(earlier.list()) == waited + 2


@pytest.mark.parametrize("noise", ["Welcome to shop-1!", '{"motd": 1}'])
@pytest.mark.usefixtures("starts")
async def test_output_of_the_login_shell_is_not_a_response(
    there: Hosts, settings: Any, tmp_path: Path, noise: str
) -> None:
    """As an `echo` in ~/.bashrc does."""
    noisy = tmp_path / "noisy"
    noisy.write_text(f'#!/bin/sh\necho {shlex.quote(noise)}\nexec {sys.executable} "$@"\n')
    noisy.chmod(0o755)
    options = settings.HOST_PROGRAM_COMMAND.partition(" ")[2]
    settings.HOST_PROGRAM_COMMAND = f"{noisy} {options}"
    assert await look(there) == [False]
    settings.HOST_PROGRAM_COMMAND = f"env sudo=1 {noisy} {options}"  # a process for each call
    assert await look(there) == [False]


async def test_a_host_that_does_not_serve_takes_many_calls_at_once(
    there: Hosts, starts: Starts, settings: Any
) -> None:
    settings.HOST_PROGRAM_COMMAND = f"env sudo=1 {settings.HOST_PROGRAM_COMMAND}"
    count = 2 * MAX_SESSIONS + 1
    assert await look(there, count) == [False] * count
    assert len(starts.list()) == count


async def test_name_with_an_address_of_no_use_is_reached_by_another(
    there: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As 'localhost' where sshd listens on IPv4 only."""

    async def find_addresses(host: str, port: int, *_: Any, **__: Any) -> list[AddressInfo]:
        (found,) = await admit(host, port, None)
        refused = [(*found[:4], ("127.0.0.1", closed)), (socket.AF_INET6, *found[1:4], ("::1", closed, 0, 0))]
        return [*refused, found]

    closed = free_port()
    monkeypatch.setattr(host_ssh, "admit", find_addresses)
    assert await look(there) == [False]


async def test_host_that_starts_no_process_was_sent_nothing(
    there: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs once the user is logged in."""

    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.sleep(600)

    monkeypatch.setattr(host_connections, "OPEN_SECONDS", 0.1)
    monkeypatch.setattr(host_ssh, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(asyncssh.SSHClientConnection, "create_process", hang)
    with pytest.raises(StepNotSent, match=r"starts no program: it did not answer within 0\.1 s"):
        await look(there)


@pytest.mark.parametrize(
    ("command", "serving"),
    [
        ("python3 -", f"python3 -IS -c '{READER}'"),
        ("/opt/my-python - --state /run/-", f"/opt/my-python -IS -c '{READER}' --state /run/-"),
        ("sudo -n python3 -", ""),  # its rules may allow only this
        ("/opt/pseudo-python -", f"/opt/pseudo-python -IS -c '{READER}'"),
        ("/usr/local/bin/faults", ""),
        ("", ""),
    ],
)
def test_a_command_that_reads_its_program_can_serve(command: str, serving: str) -> None:
    assert build_serving_command(command) == serving
