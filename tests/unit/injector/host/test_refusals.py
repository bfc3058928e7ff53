"""What the host program refuses: targets that must not be touched, and requests that make no sense."""

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.servers import small_disk
from tests.servers.loopback import free_port
from tests.servers.target_host import (
    TargetHost,
    read_state,
)


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
