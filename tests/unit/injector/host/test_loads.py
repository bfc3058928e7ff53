"""The host program's loads, and disks that it fills."""

import itertools
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.servers import small_disk
from tests.servers.loopback import wait_for
from tests.servers.target_host import (
    TargetHost,
    read_state,
    wait_until_continued,
)


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
    """The fifth file is the one that fills the disk. It goes before the reason is written."""
    answer = host_on_its_disk(tmp_path, "size=6m,nr_inodes=5").inject("f1", "disk", path=f"{tmp_path}/state")
    assert answer["code"] == "not_done"
    assert "No space left on device" in answer["reason"]


def host_on_its_disk(tmp_path: Path, options: str) -> TargetHost:
    """Its state is on a disk that ends with the call and with the guardians that it started."""
    (tmp_path / "state").mkdir()
    mount = f'mount -t tmpfs -o {options},mode=700 none "$0" && exec "$@"'
    return TargetHost(tmp_path, [*small_disk.NAMESPACE, "sh", "-c", mount, f"{tmp_path}/state"])


@pytest.mark.small_disk
def test_a_fault_whose_end_the_full_disk_did_not_record_keeps_nothing_paused(
    tmp_path: Path, shop: int, pid_file: Path
) -> None:
    host = host_on_its_disk(tmp_path, "size=256k")
    program = shlex.join(host.command[len(host.inside) :])
    script = ""
    for do, fault_id, lease in (("inject", "f1", 600), ("remove", "f1", 600), ("inject", "f2", 2)):
        kind = {"kind": "pause", "arguments": {"pidfile": str(pid_file)}}
        request = tmp_path / f"{do}-{fault_id}"
        request.write_text(json.dumps({"do": do, "id": fault_id, "lease": lease, **kind}))
        is_full = do == "remove"
        script += f"dd if=/dev/zero of={host.state}/full bs=4k status=none; " if is_full else ""
        script += f"{program} <{request}; rm -f {host.state}/full; "
    command = [*host.inside, "sh", "-c", f"{script} exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        try:
            answers = [json.loads(running.stdout.readline()) for _ in range(3)]
            assert [answer["ok"] for answer in answers] == [True, True, True], answers
            assert answers[1]["was_there"]
            wait_until_continued(shop)
        finally:
            running.kill()


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
