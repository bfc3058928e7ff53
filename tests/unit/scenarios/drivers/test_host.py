"""The driver of faults of hosts: real processes, on this machine and over a real sshd."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers import host_answers, host_calls, host_connections, host_ssh, load_drivers
from scenarios.drivers.host import Host, describe_host
from scenarios.drivers.host_arguments import HostArguments
from scenarios.drivers.hosts import this_host
from scenarios.ports import FaultCall, FaultDriver, RegisteredHost
from tests.servers.loopback import free_port, wait_for
from tests.servers.ssh_server import MAX_SESSIONS, SshServer
from tests.servers.target_host import read_state, wait_until_continued, write_program
from tests.unit.scenarios.drivers.conftest import Hosts, Serve, build_host_arguments

DRIVER = Host()


@pytest.fixture
def here(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The worker's own host, whose program remembers its faults in a folder of the test."""
    settings.ALLOWED_HOST_FAULTS = ("pause", "kill")
    build = host_calls.build_local_command
    options = ["--state", str(tmp_path / "local"), "--allow-list", str(tmp_path / "none.json")]
    monkeypatch.setattr(host_calls, "build_local_command", lambda: [*build(), *options])
    return Hosts(registered=[RegisteredHost("here", "", {"role": "shop"})])


async def call(platform: Hosts, given: HostArguments, fault_id: str = "f1", lease: float = 60) -> FaultCall:
    return FaultCall(fault_id, lease, await DRIVER.choose_target(given, platform))


def test_the_driver_is_loaded_as_one_of_faults() -> None:
    driver = load_drivers(["scenarios.drivers.host.Host"])["host"]
    assert isinstance(driver, FaultDriver)
    assert driver.is_leased({"name": "shop-1", "pause": {"port": 80}})
    assert not driver.is_leased({"name": "shop-1", "kill": {"port": 80}})


async def test_a_fault_of_the_own_host_is_injected_renewed_and_removed(
    here: Hosts, shop: int, pause: HostArguments
) -> None:
    fault = await call(here, pause)
    assert fault.target == {"hosts": [{"name": "here", "address": ""}], "label": "here", "host": this_host()}
    done = await DRIVER.inject(pause, here, fault)
    assert done["hosts"]["here"]["pids"] == [shop]
    assert await DRIVER.is_present(pause, here, fault)
    await DRIVER.renew(pause, here, fault)
    assert await DRIVER.remove(pause, here, fault)
    assert read_state(shop) != "T"
    assert not await DRIVER.is_present(pause, here, fault)
    assert not await DRIVER.remove(pause, here, fault)
    with pytest.raises(FaultGone):
        await DRIVER.renew(pause, here, fault)
    with pytest.raises(StepNotDone, match="is not injected again"):
        await DRIVER.inject(pause, here, fault)


async def test_no_name_is_looked_up_to_renew_or_to_undo(
    here: Hosts, shop: int, pause: HostArguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault may be that no name server answers."""

    async def never() -> list[str]:
        raise AssertionError("the coordinator's database was looked up")

    fault = await call(here, pause)
    await DRIVER.inject(pause, here, fault)
    monkeypatch.setattr(host_calls, "find_lifelines", never)
    await DRIVER.renew(pause, here, fault)
    assert await DRIVER.is_present(pause, here, fault)
    assert await DRIVER.remove(pause, here, fault)
    assert read_state(shop) != "T"


async def test_targets_that_cannot_be_had_are_refused_before_anything_is_injected(
    here: Hosts, settings: Any
) -> None:
    with pytest.raises(StepImpossible, match="host 'here': no visible process listens on port"):
        await DRIVER.choose_target(build_host_arguments(pause={"port": free_port()}), here)
    with pytest.raises(StepImpossible, match="ALLOWED_HOST_FAULTS names 'pause', 'kill'"):
        await DRIVER.choose_target(build_host_arguments(cpu={}), here)
    settings.ALLOWED_HOST_FAULTS = ()
    with pytest.raises(StepImpossible, match="names none"):
        DRIVER.check_fault(build_host_arguments(pause={"port": 80}), here)


def test_a_fault_ends_although_the_worker_is_killed(
    here: Hosts, shop: int, pause: HostArguments, tmp_path: Path
) -> None:
    request = {
        "do": "inject",
        "id": "f1",
        "lease": 3,
        "kind": "pause",
        "arguments": pause.to_wire(),
    }
    # A worker in a session of its own, of which every process is killed.
    program = (
        "import subprocess, sys, time\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], stdin=sys.stdin)\n"
        "sys.stdout.flush()\n"
        "time.sleep(600)\n"
    )
    words = host_calls.build_local_command()[1:]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(json.dumps(request).encode())
        worker.stdin.close()
        assert json.loads(worker.stdout.readline())["ok"]
        os.killpg(worker.pid, signal.SIGKILL)
    wait_until_continued(shop)


@pytest.mark.ssh_server
async def test_a_fault_of_another_host_is_injected_renewed_and_removed(
    there: Hosts, shop: int, pause: HostArguments
) -> None:
    fault = await call(there, pause)
    assert "host" not in fault.target
    await DRIVER.inject(pause, there, fault)
    assert read_state(shop) == "T"
    await DRIVER.renew(pause, there, fault)
    there.registered.clear()
    assert await DRIVER.is_present(pause, there, fault)
    assert await DRIVER.remove(pause, there, fault)
    assert read_state(shop) != "T"


@pytest.mark.ssh_server
async def test_a_fault_of_another_host_ends_by_itself(there: Hosts, shop: int, pause: HostArguments) -> None:
    fault = await call(there, pause, lease=2)
    await DRIVER.inject(pause, there, fault)
    wait_until_continued(shop)
    with pytest.raises(FaultGone, match="host 'here': this host does not have the fault"):
        await DRIVER.renew(pause, there, fault)


@pytest.mark.ssh_server
@pytest.mark.usefixtures("shop")
async def test_a_key_with_a_forced_command_does_only_what_the_host_allows(
    there: Hosts, ssh: SshServer, settings: Any, tmp_path: Path, pause: HostArguments
) -> None:
    settings.SSH_KEYS = (ssh.limited_key,)
    settings.HOST_PROGRAM_COMMAND = "echo this is never run"
    options = f"--state {tmp_path}/forced --allow-list {tmp_path}/none.json"
    command = f"{sys.executable} -I {write_program(tmp_path)} {options}"
    ssh.force(f"{command} --allowed pause")
    fault = await call(there, pause)
    await DRIVER.inject(pause, there, fault)
    assert await DRIVER.is_present(pause, there, fault)
    assert await DRIVER.remove(pause, there, fault)
    with pytest.raises(StepImpossible, match="'kill' is not allowed"):
        await DRIVER.choose_target(build_host_arguments(kill={"port": 1}), there)
    ssh.force(command)
    # A connection that is kept has the command with which it began.
    described = await asyncio.to_thread(asyncio.run, describe_host(there.registered[0]))
    assert "this host has no" in described["kinds"]["pause"]


@pytest.mark.ssh_server
async def test_calls_of_one_event_loop_share_a_connection(
    there: Hosts, ssh: SshServer, shop: int, pause: HostArguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_alone() -> None:
        asyncio.run(describe_host(there.registered[0]))
        wait_for(lambda: set(ssh.list_sessions()) <= left, what="the connection is closed")

    before = set(ssh.list_sessions())
    fault = await call(there, pause)
    (kept,) = set(ssh.list_sessions()) - before
    await DRIVER.inject(pause, there, fault)
    await DRIVER.renew(pause, there, fault)
    assert set(ssh.list_sessions()) - before == {kept}
    os.kill(kept, signal.SIGKILL)
    assert await DRIVER.is_present(pause, there, fault)
    (hanging,) = set(ssh.list_sessions()) - before - {kept}
    # As one whose host is unplugged: nothing comes back.
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(host_connections, "OPEN_SECONDS", 0.5)
    try:
        assert await DRIVER.remove(pause, there, fault)
        assert read_state(shop) != "T"
    finally:
        os.kill(hanging, signal.SIGKILL)
    left = set(ssh.list_sessions())
    await asyncio.to_thread(call_alone)


@pytest.mark.ssh_server
async def test_more_calls_than_a_connection_takes_are_made_at_once(
    there: Hosts,
) -> None:
    request = {"do": "is_present", "id": "f1"}
    host, count = there.registered[0], MAX_SESSIONS + 1
    await host_calls.call(host, request, there)
    answers = await asyncio.gather(*(host_calls.call(host, request, there) for _ in range(count)))
    assert [answer["present"] for answer in answers] == [False] * count


@pytest.mark.usefixtures("shop")
async def test_a_host_is_asked_once_for_a_fault_that_follows_at_once(
    here: Hosts, pause: HostArguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def note_call(host: RegisteredHost, request: Mapping[str, Any], platform: Any) -> Mapping[str, Any]:
        asked.append(request["do"])
        return await call_host(host, request, platform)

    call_host = host_calls.call
    monkeypatch.setattr(host_calls, "call", note_call)
    await call(here, pause)
    fault = await call(here, pause)
    assert asked == ["describe"]
    await DRIVER.inject(pause, here, fault)
    await call(here, pause, "f2")
    assert asked == ["describe", "inject", "describe"]
    monkeypatch.setattr(host_answers, "FRESH_SECONDS", -1.0)
    await call(here, pause, "f2")
    assert asked == ["describe", "inject", "describe", "describe"]
    with pytest.raises(StepImpossible):
        await call(here, build_host_arguments(kill={"port": free_port()}))
    await DRIVER.remove(pause, here, fault)


@pytest.mark.ssh_server
async def test_a_fault_of_two_hosts_is_on_both_or_on_none(
    there: Hosts, here: Hosts, shop: int, pid_file: Path, ssh: SshServer
) -> None:
    both = Hosts(registered=[*here.registered, RegisteredHost("other", ssh.address, {"role": "shop"})])
    given = build_host_arguments(where={"role": "shop"}, pause={"pidfile": str(pid_file)})
    fault = await call(both, given)
    assert fault.target["label"] == "here, other"
    assert fault.target["host"] == this_host()
    address = f"nobody@127.0.0.1:{free_port()}"
    broken = FaultCall(
        "f2", 60, {**fault.target, "hosts": [fault.target["hosts"][0], {"name": "other", "address": address}]}
    )
    with pytest.raises(StepNotDone, match=r"host 'other' at .*; it was removed again from 'here'"):
        await DRIVER.inject(given, both, broken)
    assert read_state(shop) != "T"


@pytest.mark.ssh_server
async def test_hosts_that_cannot_be_reached_are_named(
    there: Hosts, ssh: SshServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = there.registered[0]
    settings.HOST_PROGRAM_COMMAND = "python-of-nobody -"
    with pytest.raises(StepNotSent, match="has no Python where HOST_PROGRAM_COMMAND expects it"):
        await describe_host(host)
    settings.HOST_PROGRAM_COMMAND = "echo hello"
    with pytest.raises(StepFailed, match=r"did not answer as the host program does \(exit code 0\): 'hello'"):
        await describe_host(host)
    settings.HOST_PROGRAM_COMMAND = "yes"
    with pytest.raises(StepFailed, match=r"answered more than 262144 bytes: b'y\\ny"):
        await describe_host(host)
    settings.HOST_PROGRAM_COMMAND = "sleep 30"
    monkeypatch.setattr(host_ssh, "CALL_SECONDS", 0.5)
    with pytest.raises(StepFailed, match=r"gave no answer within 0\.5 s"):
        await describe_host(host)
    user = host.address.partition("@")[0]
    with pytest.raises(StepNotSent, match="cannot be reached"):
        await describe_host(RegisteredHost("gone", f"{user}@127.0.0.1:{free_port()}", {}))
    settings.SSH_KEYS = (ssh.folder / "host_key",)
    with pytest.raises(StepNotSent, match="does not accept a key of SSH_KEYS"):
        await describe_host(host)
    settings.SSH_KEYS = (ssh.folder / "nowhere",)
    with pytest.raises(StepImpossible, match="which is not readable"):
        await describe_host(host)


@pytest.mark.ssh_server
async def test_a_host_with_another_key_is_refused(there: Hosts, ssh: SshServer, settings: Any) -> None:
    other = ssh.folder / "other_known_hosts"
    key = (ssh.folder / "other_host_key.pub").read_text()
    settings.SSH_KNOWN_HOSTS = other
    for text in (f"[127.0.0.1]:{ssh.port} {key}", ""):
        other.write_text(text)
        with pytest.raises(StepNotSent, match="has another key than '/"):
            await describe_host(there.registered[0])
    other.unlink()
    with pytest.raises(StepImpossible, match="is not a file"):
        await describe_host(there.registered[0])


async def test_a_server_that_says_nothing_is_given_up(
    serve: Serve, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(host_ssh, "CONNECT_SECONDS", 0.3)
    settings.SSH_KNOWN_HOSTS = tmp_path / "known_hosts"
    settings.SSH_KNOWN_HOSTS.write_text("")
    port = (await serve(hang)).rpartition(":")[2]
    with pytest.raises(StepNotSent, match=r"host 'hangs' at shop@127.0.0.1"):
        await describe_host(RegisteredHost("hangs", f"shop@127.0.0.1:{port}", {}))


async def test_a_call_that_is_cancelled_gives_way(here: Hosts) -> None:
    task = asyncio.create_task(describe_host(here.registered[0]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
