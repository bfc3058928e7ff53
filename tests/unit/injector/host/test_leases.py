"""The host program with processes of this machine: no fault outlives its lease, whatever is killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from injector.host.arguments import Refusal
from injector.host.kinds import KINDS
from injector.host.pause import check_freezer
from injector.host.processes import identify, is_stopped
from injector.host.store import Store, now
from tests.servers.loopback import wait_for
from tests.servers.target_host import (
    PROGRAM,
    TargetHost,
    read_state,
    wait_until_continued,
)
from tests.servers.wall_clock import WallClock


def test_a_paused_process_goes_on_when_the_lease_is_over(host: TargetHost, shop: int, pid_file: Path) -> None:
    answer = host.inject("f1", "pause", pidfile=str(pid_file))
    assert answer["done"] == {"pids": [shop], "mechanism": "SIGSTOP"}, answer
    assert host.has("f1")
    guardian = host.find_guardian("f1")
    assert os.getppid() != guardian
    assert host.ask("renew", id="f1", lease=1)["ok"]
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
    assert record["ended_at"] - record["until"] < 100  # half a second, and what a busy machine adds


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
        {"id": name, "kind": "pause", "target": target, "status": "active", "boot": "1", "until": now() + 600}
        for name in ("f1", "f2")
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


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd starts guardians again here")
def test_a_process_goes_on_when_the_guardian_is_killed_and_nobody_calls(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", lease=600, pidfile=str(pid_file))
    os.kill(host.find_guardian("f1"), signal.SIGKILL)
    wait_until_continued(shop)
    wait_for(lambda: Store(str(host.state)).active("pause") == [], what="the fault has ended")
    assert host.ask("renew", id="f1", lease=60)["code"] == "gone"


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd starts guardians again here")
def test_a_fault_goes_on_when_the_second_process_of_its_guardian_is_killed(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", lease=600, pidfile=str(pid_file))
    guardian = host.find_guardian("f1")
    (second,) = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
    os.kill(int(second), signal.SIGTERM)  # it does not hear this
    assert read_state(int(second)) not in {"", "Z"}
    os.kill(int(second), signal.SIGKILL)
    assert host.ask("renew", id="f1", lease=600)["ok"]
    assert read_state(shop) == "T"
    assert host.ask("remove", id="f1")["was_there"]
    assert read_state(shop) != "T"


def test_a_fault_whose_guardian_was_killed_is_reported_and_ended(
    host: TargetHost, shop: int, pid_file: Path
) -> None:
    host.inject("f1", "pause", pidfile=str(pid_file))
    os.kill(host.find_guardian("f1"), signal.SIGKILL)
    wait_for(lambda: host.ask("renew", id="f1", lease=5).get("code") == "gone", what="the fault is gone")
    assert read_state(shop) != "T"


def test_the_next_call_ends_what_a_killed_guardian_left(host: TargetHost, shop: int, pid_file: Path) -> None:
    host.inject("f1", "pause", lease=5, pidfile=str(pid_file))
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


def test_process_that_has_yet_to_get_a_core_to_stop_counts_as_stopped() -> None:
    with subprocess.Popen(["nice", "-n", "19", "sh", "-c", "while :; do :; done"]) as busy:
        try:
            process = identify(busy.pid)
            for _ in range(20):
                assert not is_stopped(process)
                busy.send_signal(signal.SIGSTOP)
                assert is_stopped(process)
                busy.send_signal(signal.SIGCONT)
        finally:
            busy.kill()


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


def test_files_that_somebody_damaged_do_not_keep_others_from_working(host: TargetHost) -> None:
    host.ask_here("remove", id="f1")
    for number, text in enumerate(("", "{", "[]", "{}", '{"id": 1, "status": "active", "boot": 2}')):
        (host.state / f"fault-{number}.json").write_text(text)
    assert host.ask_here("sweep") == {"ok": True, "active": []}


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
