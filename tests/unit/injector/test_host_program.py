"""The host program with processes of this machine: no fault outlives its lease, whatever is killed."""

import contextlib
import itertools
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from injector.host.arguments import Refusal
from injector.host.kinds import KINDS
from injector.host.pause import check_freezer
from injector.host.store import Store
from tests.servers import small_disk
from tests.servers.loopback import free_port, wait_for
from tests.servers.target_host import (
    PROGRAM,
    TargetHost,
    read_state,
    sleeper,
    wait_until_continued,
)
from tests.servers.wall_clock import WallClock


@pytest.fixture
def host(tmp_path: Path) -> TargetHost:
    return TargetHost(tmp_path)


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "shop.pid"


@pytest.fixture
def shop(pid_file: Path) -> Iterator[int]:
    with sleeper(pid_file) as process:
        yield process.pid


def test_a_paused_process_goes_on_when_the_lease_is_over(host: TargetHost, shop: int, pid_file: Path) -> None:
    answer = host.inject("f1", "pause", lease=2, pidfile=str(pid_file))
    assert answer["done"] == {"pids": [shop], "mechanism": "SIGSTOP"}, answer
    assert host.has("f1")
    guardian = host.find_guardian("f1")
    assert os.getppid() != guardian
    wait_until_continued(shop)
    assert not host.has("f1")
    assert host.ask("renew", id="f1", lease=5)["code"] == "gone"
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian ends")


def test_a_renewal_prolongs_the_fault(host: TargetHost, shop: int, pid_file: Path) -> None:
    host.inject("f1", "pause", lease=60, pidfile=str(pid_file))
    assert host.ask("renew", id="f1", lease=120)["ok"]
    guardian = host.find_guardian("f1")
    record = next(host.state.glob("fault-*.json"))
    assert json.loads(record.read_text())["until"] > time.clock_gettime(time.CLOCK_BOOTTIME) + 60
    assert host.ask("renew", id="f1", lease=1)["ok"]
    wait_until_continued(shop)
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian ends")


def test_a_fault_ends_with_its_lease_while_another_call_keeps_the_lock(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    assert host.inject("f1", "pause", lease=2, pidfile=str(pid_file))["ok"]
    store = Store(str(host.state))
    with store.lock(120):
        wait_until_continued(shop)
        wait_for(lambda: store.active("pause") == [], what="the fault has ended")
    record = store.read("f1")
    assert record is not None
    assert record["ended_at"] - record["until"] < 8  # half a second, and what a busy machine adds


def test_a_renewal_that_comes_while_the_guardian_ends_the_fault_is_refused(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    store = Store(str(host.state))
    store.write("f1", {**store.read_guardian("f1"), "is_ending": True}, "guardian")
    assert host.ask("renew", id="f1", lease=60)["code"] == "gone"
    assert read_state(shop) != "T"
    assert not host.has("f1")


def test_a_lease_begins_when_the_call_does(host: TargetHost, shop: int, pid_file: Path) -> None:
    """Its sender may be dead when it gets the lock."""
    host.inject("f1", "pause", pidfile=str(pid_file))
    before = Store(str(host.state)).read("f1")
    with ThreadPoolExecutor(2) as calls, Store(str(host.state)).lock(120):
        late = calls.submit(host.inject, "f2", "pause", 1, pidfile=str(pid_file))
        renewal = calls.submit(host.ask, "renew", id="f1", lease=1)
        wait_for(lambda: count_calls(host) == 2, what="both wait for the lock")
        time.sleep(1.1)  # longer than their leases
    for answer in (late.result(), renewal.result()):
        assert answer["code"] == "not_done"
        assert answer["reason"] == "the call waited longer than its lease of 1 s"
    assert Store(str(host.state)).read("f1") == before
    assert Store(str(host.state)).read("f2") is None
    host.ask("remove", id="f1")
    assert read_state(shop) != "T"


def count_calls(host: TargetHost) -> int:
    """How many calls have opened the lock."""
    lock, count = str(host.state / "lock"), 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            is_call = str(PROGRAM).encode() in process.read_bytes()
            files = (process.parent / "fd").iterdir() if is_call else ()
            count += any(str(file.readlink()) == lock for file in files)
    return count


def test_a_removed_fault_is_gone_and_not_injected_again(host: TargetHost, shop: int, pid_file: Path) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    guardian = host.find_guardian("f1")
    assert host.ask("remove", id="f1") == {"ok": True, "was_there": True}
    assert read_state(shop) != "T"
    assert read_state(guardian) in {"", "Z"}
    assert host.ask("remove", id="f1") == {"ok": True, "was_there": False}
    assert host.inject("f1", "pause", pidfile=str(pid_file))["code"] == "not_done"
    assert host.ask("remove", id="never/seen") == {"ok": True, "was_there": False}
    assert host.inject("never/seen", "pause", pidfile=str(pid_file))["code"] == "not_done"
    assert read_state(shop) != "T"


def test_a_process_with_two_faults_goes_on_after_the_second(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    assert host.inject("f2", "pause", pidfile=str(pid_file))["ok"]
    host.ask("remove", id="f1")
    assert read_state(shop) == "T"
    assert not host.has("f1")
    assert host.has("f2")
    host.ask("remove", id="f2")
    assert read_state(shop) != "T"


def test_a_frozen_unit_with_two_faults_is_thawed_after_the_second(tmp_path: Path) -> None:
    """By a plain file: this machine may have no freezer."""
    store, pause, freezer = Store(str(tmp_path)), KINDS["pause"], tmp_path / "cgroup.freeze"
    target = {"unit": "shop.service", "freezer": str(freezer), "processes": []}
    records = [
        {"id": fault_id, "kind": "pause", "target": target, "status": "active", "boot": "1", "until": 1.0}
        for fault_id in ("f1", "f2")
    ]
    for record in records:
        store.write(str(record["id"]), record)
        pause.apply(record, store)
        check_freezer("shop.service", str(freezer), store)
    first, second = records
    store.write("f1", {**first, "status": "removed"})
    pause.undo(first, store, {})
    assert freezer.read_text() == "1"
    assert not pause.is_present(first, store, {})
    assert pause.is_present(second, store, {})
    store.write("f2", {**second, "status": "removed"})
    with pytest.raises(Refusal, match=r"'shop.service' is frozen already, and not by this program"):
        check_freezer("shop.service", str(freezer), store)
    pause.undo(second, store, {})
    assert freezer.read_text() == "0"
    check_freezer("shop.service", str(freezer), store)


def test_a_fault_whose_guardian_was_killed_is_reported_and_ended(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    os.kill(host.find_guardian("f1"), signal.SIGKILL)
    wait_for(lambda: host.ask("renew", id="f1", lease=5).get("code") == "gone", what="the fault is gone")
    assert read_state(shop) != "T"


def test_the_next_call_ends_what_a_killed_guardian_left(host: TargetHost, shop: int, pid_file: Path) -> None:
    host.inject("f1", "pause", lease=1, pidfile=str(pid_file))
    os.kill(host.find_guardian("f1"), signal.SIGKILL)

    def is_swept() -> bool:
        return host.ask("sweep")["active"] == [] and read_state(shop) != "T"

    wait_for(is_swept, what="the process goes on")


def test_a_guardian_whose_record_was_deleted_ends_the_fault(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    next(host.state.glob("fault-*.json")).write_text("{")
    wait_until_continued(shop)


def test_a_process_that_somebody_continued_is_a_lost_fault(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    os.kill(shop, signal.SIGCONT)
    assert host.ask("renew", id="f1", lease=5)["code"] == "gone"


def test_every_process_that_listens_on_the_port_is_paused(host: TargetHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        os.set_inheritable(server.fileno(), True)
        shops = [subprocess.Popen(["sleep", "600"], close_fds=False) for _ in range(2)]
    try:
        wait_for(lambda: host.inject("f1", "pause", port=port)["ok"], what="both have the socket")
        assert [read_state(shop.pid) for shop in shops] == ["T", "T"]
        assert host.ask("renew", id="f1", lease=60)["ok"]
        shops[0].send_signal(signal.SIGCONT)
        assert host.ask("renew", id="f1", lease=60)["code"] == "gone"
        assert "T" not in [read_state(shop.pid) for shop in shops]
        assert host.inject("f2", "kill", port=port)["done"]["pids"] == sorted(shop.pid for shop in shops)
        assert [shop.wait() for shop in shops] == [-9, -9]
        assert host.inject("f2", "kill", port=port)["ok"]
        assert host.ask("remove", id="f2")["note"] == "'kill' has nothing to undo"
        assert host.ask("renew", id="f2", lease=5)["ok"]
    finally:
        for shop in shops:
            shop.kill()
            shop.wait()


def test_processes_that_must_not_be_touched_are_refused(host: TargetHost, pid_file: Path) -> None:
    for pid, sentence in (
        (1, "process 1 is the system itself"),
        (os.getpid(), "belongs to the coordinator"),
        (2**22 + 1, "is gone"),
    ):
        pid_file.write_text(f"{pid}\n")
        assert sentence in host.refuse("pause", pidfile=str(pid_file))
    pid_file.write_text("$(reboot)\n")
    assert "not a pid file" in host.refuse("pause", pidfile=str(pid_file))
    assert "listens on port" in host.refuse("kill", port=free_port())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_pid_file_that_another_user_may_write_names_only_that_users_processes(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    os.chown(pid_file, 65534, 65534)
    assert "belongs to another user than process" in host.refuse("kill", pidfile=str(pid_file))
    assert read_state(shop) in {"D", "R", "S"}


def test_a_path_that_leads_elsewhere_is_refused(host: TargetHost, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/tmp")  # noqa: S108
    assert "leads elsewhere: name '/tmp'" in host.refuse("disk", path=str(tmp_path / "link"))
    assert "is not a directory" in host.refuse("io", path=str(tmp_path / "nowhere"))


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs here")
def test_units_are_refused_where_systemd_does_not_run(host: TargetHost) -> None:
    for kind in ("pause", "kill", "restart", "stop"):
        assert "systemd does not run on this host" in host.refuse(kind, unit="shop")


@pytest.mark.small_disk
@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs here")
def test_a_container_with_the_process_ids_of_its_host_cannot_pause(tmp_path: Path) -> None:
    """The host of these containers is itself a namespace, whose process 1 the shell is."""
    as_host = [*small_disk.NAMESPACE, "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*as_host, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the kernel refuses such namespaces here")
    container = 'unshare --mount "$@"; exit $?'
    inside = TargetHost(tmp_path, [*as_host, "sh", "-c", container, "sh"]).ask("describe")
    assert "together with the container" in inside["kinds"]["pause"]
    outside = TargetHost(tmp_path, as_host).ask("describe")
    assert outside["kinds"]["pause"] == ""


def test_a_number_that_another_process_has_by_now_is_refused(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    os.utime(pid_file, (time.time() - 3600, time.time() - 3600))
    assert "belongs to one that started later" in host.refuse("kill", pidfile=str(pid_file))
    assert read_state(shop) in {"D", "R", "S"}


def test_requests_of_garbage_are_answered(host: TargetHost) -> None:
    for text in ("", "{", "[]", "x" * 100_000, '{"do": "rm"}', '{"do": ["inject"]}', '{"do": "remove"}'):
        assert host.send_here(text)["code"] == "impossible"
    for fault_id in ("a; reboot", "$(reboot)", "a b", "", "é", "a" * 200, "x\n"):
        assert "is not an id" in host.ask_here("remove", id=fault_id)["reason"]
    for lease in (0, -1, True, "5", 1e9, float("nan"), None):
        answer = host.ask_here("inject", id="f1", lease=lease, kind="pause", arguments={})
        assert "lease=" in answer["reason"]
    assert "unknown kind" in host.refuse("explode")
    assert "has no 'signal'" in host.refuse("pause", signal="KILL")
    assert "exactly one of" in host.refuse("pause")
    assert "must be an object" in host.ask_here("describe", kind="pause", arguments=7)["reason"]
    assert host.ask_here("remove", id="../../etc/passwd")["ok"]
    assert {file.parent for file in host.state.rglob("*")} == {host.state}


def test_files_that_somebody_damaged_do_not_keep_others_from_working(host: TargetHost) -> None:
    host.ask_here("remove", id="f1")
    for number, text in enumerate(("", "{", "[]", "{}", '{"id": 1, "status": "active", "boot": 2}')):
        (host.state / f"fault-{number}.json").write_text(text)
    assert host.ask_here("sweep") == {"ok": True, "active": []}


def test_the_allow_list_of_root_is_the_rule(tmp_path: Path, shop: int, pid_file: Path) -> None:
    allow_list = tmp_path / "allowed.json"
    host = TargetHost(tmp_path, (), "--allow-list", str(allow_list))
    assert "this host has no" in host.refuse("kill", pidfile=str(pid_file))
    allow_list.write_text(json.dumps({"kinds": {"pause": {"pidfile": [f"{tmp_path}/sh*.pid"]}}}))
    if os.geteuid() != 0:
        assert "must belong to root" in host.ask_here("describe")["reason"]
        return
    allow_list.chmod(0o666)
    assert "must belong to root" in host.refuse("pause", pidfile=str(pid_file))
    allow_list.chmod(0o644)
    assert "names pause" in host.refuse("kill", pidfile=str(pid_file))
    assert "is not allowed" in host.refuse("pause", pidfile=f"{tmp_path}/sh/../../etc/x.pid")
    assert "must name 'pidfile'" in host.refuse("pause", port=80)
    assert host.ask_here("describe", kind="pause", arguments={"pidfile": str(pid_file)})["target"]
    assert read_state(shop) in {"D", "R", "S"}
    allow_list.write_text("[]")
    assert "must hold an object" in host.ask_here("describe")["reason"]


def test_a_directory_that_others_may_write_to_is_refused(host: TargetHost) -> None:
    host.state.mkdir()
    host.state.chmod(0o777)
    assert "only this user may write to" in host.ask_here("sweep")["reason"]
    host.state.chmod(0o700)
    assert host.ask_here("sweep")["ok"]
    assert stat.S_IMODE(host.state.stat().st_mode) == 0o700


@pytest.mark.stress_ng
def test_a_load_ends_when_it_is_removed(host: TargetHost) -> None:
    first = host.inject("f1", "cpu", load=0.1, cores=1)["done"]["child"][0]
    assert host.has("f1")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: host.has("f1"), what="the guardian starts it again")
    host.ask("remove", id="f1")
    assert not host.has("f1")


@pytest.mark.stress_ng
def test_a_load_whose_guardian_was_killed_ends_by_itself(host: TargetHost) -> None:
    ids = (f"f{number}" for number in itertools.count())
    for fault_id in ids:
        answer = host.inject(fault_id, "cpu", lease=2, load=0.1, cores=1)
        if answer["ok"]:  # else the machine is so slow that the lease was over
            break
    os.kill(host.find_guardian(fault_id), signal.SIGKILL)
    wait_for(lambda: read_state(answer["done"]["child"][0]) in {"", "Z"}, what="the load ends")
    assert not host.has(fault_id)


@pytest.mark.small_disk
def test_a_filled_disk_is_free_again_even_if_the_guardian_was_killed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    host = TargetHost(tmp_path, small_disk.inside(disk))
    answer = host.inject("f1", "disk", path=str(disk), share=0.75)
    assert answer["done"]["bytes"] == 300 * 1024
    guardian = host.find_guardian("f1")
    assert os.listdir(f"/proc/{guardian}/root{disk}") == []  # noqa: PTH208 - it has no name
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: host.ask("renew", id="f1", lease=5).get("code") == "gone", what="the fault is gone")
    assert host.inject("f2", "disk", path=str(disk))["done"]["bytes"] == 400 * 1024
    assert host.has("f2")
    host.ask("remove", id="f2")
    assert not host.has("f2")


@pytest.mark.small_disk
def test_a_full_disk_keeps_space_for_the_state(tmp_path: Path) -> None:
    host = host_on_its_disk(tmp_path, "size=6m")
    fault = {"id": "f1", "lease": 60, "kind": "disk", "arguments": {"path": str(host.state)}}
    script = ""
    for do in ("inject", "renew", "remove"):
        (tmp_path / do).write_text(json.dumps({"do": do, **fault}))
        program = shlex.join(host.command[len(host.inside) :])
        script += f"{program} <{tmp_path / do}; stat -fc '%a * %S' {host.state}; "
    command = [*host.inside, "sh", "-c", script]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [json.loads(line)["ok"] for line in lines[::2]] == [True, True, True], lines
    injected, renewed, removed = (int(a) * int(b) for a, b in (line.split(" * ") for line in lines[1::2]))
    assert 3 << 20 < renewed <= injected <= 4 << 20 < removed


@pytest.mark.small_disk
def test_a_disk_fault_that_leaves_no_file_for_the_state_says_so(tmp_path: Path) -> None:
    """The sixth file is the one that fills the disk. It goes before the reason is written."""
    answer = host_on_its_disk(tmp_path, "size=6m,nr_inodes=6").inject("f1", "disk", path=f"{tmp_path}/state")
    assert answer["code"] == "not_done"
    assert "No space left on device" in answer["reason"]


def host_on_its_disk(tmp_path: Path, options: str) -> TargetHost:
    """Its state is on a disk that ends with the call and with the guardians that it started."""
    (tmp_path / "state").mkdir()
    mount = f'mount -t tmpfs -o {options},mode=700 none "$0" && exec "$@"'
    return TargetHost(tmp_path, [*small_disk.NAMESPACE, "sh", "-c", mount, f"{tmp_path}/state"])


@pytest.mark.small_disk
def test_nothing_is_injected_where_it_cannot_be_written_down(
    tmp_path: Path, shop: int, pid_file: Path
) -> None:
    script = 'mount -t tmpfs -o size=4k none "$0" && echo full >"$0/file" && exec "$@"'
    (tmp_path / "state").mkdir(mode=0o700)
    words = [*small_disk.NAMESPACE, "sh", "-c", f"umask 77; {script}", str(tmp_path / "state")]
    host = TargetHost(tmp_path, words)
    host.state = tmp_path / "state" / "below"
    answer = host.inject("f1", "pause", pidfile=str(pid_file))
    assert answer["code"] == "not_done"
    assert "No space left" in answer["reason"]
    assert read_state(shop) in {"D", "R", "S"}


@pytest.mark.faketime
def test_a_lease_is_not_kept_longer_by_a_clock_that_is_set_back(
    host: TargetHost, shop: int, pid_file: Path, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path / "clock")
    request = {
        "do": "inject",
        "id": "f1",
        "lease": 3,
        "kind": "pause",
        "arguments": {"pidfile": str(pid_file)},
    }
    assert host.send(json.dumps(request), **clock.environment)["ok"]
    clock.step(hours=-100)
    wait_until_continued(shop)
