"""Runs as root if systemd is process 1: faults of units by the host program, and what the drop-ins of the
shipped units permit. Writes 'done' at the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NOBODY = 65534
PORT = 8099
CLOSED = {"signal": "hidden", "port": False, "files": "OSError", "network": "refused"}
# What each of these sets of shipped drop-ins opens.
OPENED: dict[tuple[str, ...], dict[str, Any]] = {
    (): {},
    ("signal",): {"signal": "sent"},
    ("signal", "signal-port"): {"signal": "sent", "port": True},
    ("command-network",): {"network": "changed"},
    ("command-files",): {"files": "written"},
}
ALL_OPEN = {"signal": "sent", "port": True, "files": "written", "network": "changed"}
# The shipped units start the coordinator, which is not here.
INSTEAD = """\
[Service]
Type=oneshot
Restart=no
User=nobody
WorkingDirectory=
EnvironmentFile=
ExecStart=
ExecStart=/usr/bin/python3 -B /run/unit_reach.py {pid} {port}
StandardOutput=file:{answer}
"""
UNIT = Path("/run/systemd/system/shop.service")


def ask(do: str, **request: Any) -> dict[str, Any]:
    command = [sys.executable, "-I", "/probe/host_program.py", "--allowed", "pause,kill,restart,stop"]
    text = json.dumps({"do": do, **request})
    answer: dict[str, Any] = json.loads(subprocess.check_output(command, input=text.encode()))
    return answer


def inject(fault_id: str, kind: str, lease: float, unit: str = "shop") -> dict[str, Any]:
    return ask("inject", id=fault_id, lease=lease, kind=kind, arguments={"unit": unit})


def read(*words: str) -> str:
    return subprocess.run(
        ["/usr/bin/systemctl", *words], capture_output=True, text=True, check=False
    ).stdout.strip()


def is_active() -> bool:
    return read("is-active", "shop") == "active"


def find_process(unit: str = "shop") -> int:
    return int(read("show", "--property=MainPID", "--value", unit))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def list_own(kind: str) -> list[str]:
    listed = read("list-units", "--plain", "--no-legend", f"test-coordinator-*.{kind}")
    return [line.split()[0] for line in listed.splitlines()]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def stop_and_start() -> None:
    """Systemd restarts a stopped unit: later if the fault is renewed, at once if it is removed."""
    assert inject("stop-1", "stop", 60)["ok"]
    assert not is_active()
    (first,) = list_own("timer")
    assert ask("renew", id="stop-1", lease=1)["ok"]
    (second,) = list_own("timer") or ("",)
    assert first != second
    wait_for(is_active, "systemd starts the unit")
    assert ask("renew", id="stop-1", lease=5)["code"] == "gone"
    assert inject("stop-2", "stop", 60)["ok"]
    assert ask("is_present", id="stop-2")["present"]
    assert ask("remove", id="stop-2") == {"ok": True, "was_there": True}
    assert is_active()
    assert not ask("is_present", id="stop-2")["present"]
    assert list_own("timer") == []


def read_guardian() -> int:
    """The process that the only guardian has written down."""
    (file,) = Path("/run/test-coordinator").glob("guardian-*.json")
    return int(json.loads(file.read_text())["guardian"][0])


def kill_and_wait(guardian: str) -> None:
    killed = find_process(guardian)
    read("kill", "--signal=KILL", guardian)
    wait_for(lambda: find_process(guardian) == read_guardian() != killed, "it is started again")


def pause_and_kill_the_guardian() -> None:
    """Systemd starts the guardian again, which ends the fault."""
    pid = find_process()
    assert inject("pause-1", "pause", 60)["ok"]
    assert is_stopped(pid)
    (guardian,) = list_own("service")
    for _ in range(6):  # by default, systemd gives up after five times
        kill_and_wait(guardian)
    assert ask("renew", id="pause-1", lease=60)["ok"]
    assert is_stopped(pid)
    assert ask("renew", id="pause-1", lease=1)["ok"]
    wait_for(lambda: not is_stopped(pid), "the unit goes on")
    wait_for(lambda: list_own("service") == [], "the guardian's unit is gone")


def restart_and_kill() -> None:
    pid = find_process()
    assert inject("restart-1", "restart", 5)["ok"]
    wait_for(lambda: find_process() not in {pid, 0}, "the unit is restarted")
    assert inject("kill-1", "kill", 5)["done"]["pids"]
    wait_for(lambda: not is_active(), "the unit is killed")


def refuse() -> None:
    assert "this host has no unit" in inject("f1", "stop", 5, "nonsense")["reason"]
    assert "not active" in inject("f2", "stop", 5)["reason"]
    assert "belongs to the coordinator" in inject("f3", "stop", 5, "probe.service")["reason"]


def run_as_worker(kill_mode: str) -> str:
    """Why a worker's unit with this property cannot pause anything."""
    answer, state = Path(f"/probe/{kill_mode}"), f"/run/state-{kill_mode}"
    Path(state).mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    shutil.copy("/probe/host_program.py", "/run/host_program.py")  # which others than root may read
    program = f"{sys.executable} -I /run/host_program.py --allowed pause --state {state}"
    Path(f"/run/systemd/system/worker-{kill_mode}.service").write_text(
        f"[Service]\nType=oneshot\nUser=nobody\nKillMode={kill_mode}\nExecStart={program}\n"
        f'StandardInput=data\nStandardInputText={{"do": "describe"}}\nStandardOutput=file:{answer}\n'
    )
    read("start", f"worker-{kill_mode}")
    return str(json.loads(answer.read_text())["kinds"]["pause"])


def refuse_where_the_guardian_would_be_killed() -> None:
    assert "the guardian would be killed together with the unit 'worker-mixed" in run_as_worker("mixed")
    read("start", "dbus")  # else others than root cannot ask systemd
    assert run_as_worker("process") == ""


def reach_what_the_drop_ins_open() -> None:
    """With the rights of the shipped units, as they are and with the drop-ins: a process of another user."""
    for name in ("unit_reach.py", "processes.py"):
        shutil.copy(f"/probe/{name}", "/run")
    Path("/srv/shop").mkdir(parents=True)
    os.chown("/srv/shop", NOBODY, NOBODY)
    server = f"/usr/bin/python3 -m http.server {PORT} --bind 127.0.0.1"
    Path("/run/systemd/system/server.service").write_text(f"[Service]\nExecStart={server}\n")
    read("start", "server")
    wait_for(is_listening, "the other user's process listens")
    for drop_ins, opened in OPENED.items():
        assert reach("test-coordinator-worker@.service", drop_ins) == CLOSED | opened, drop_ins
    watchdog, every = "test-coordinator-watchdog.service", [name for names in OPENED for name in names]
    assert reach(watchdog, []) == CLOSED
    assert reach(watchdog, sorted({*every})) == ALL_OPEN


def is_listening() -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", PORT)) == 0


def reach(unit: str, drop_ins: Sequence[str]) -> dict[str, Any]:
    name, pid = "-".join(["reach", unit.partition(".")[0].rstrip("@"), *drop_ins]), find_process("server")
    file = Path(f"/run/systemd/system/{name}.service")
    # Without its order after the network, which does not come up here.
    file.write_text("[Service]" + Path(f"/probe/{unit}").read_text().partition("[Service]")[2])
    folder, answer = file.with_suffix(".service.d"), Path(f"/run/{name}")
    folder.mkdir()
    for drop_in in drop_ins:
        shutil.copy(f"/probe/{drop_in}.conf", folder)
    (folder / "zz-instead.conf").write_text(INSTEAD.format(pid=pid, port=PORT, answer=answer))
    read("daemon-reload")
    read("start", name)
    found: dict[str, Any] = json.loads(answer.read_text())
    assert is_stopped(pid) is (found["signal"] == "sent")
    os.kill(pid, signal.SIGCONT)
    return found


UNIT.write_text("[Service]\nExecStart=/bin/sleep 600\n")
read("daemon-reload")
read("start", "shop")
for trial in (
    stop_and_start,
    pause_and_kill_the_guardian,
    restart_and_kill,
    refuse,
    refuse_where_the_guardian_would_be_killed,
    reach_what_the_drop_ins_open,
):
    trial()
sys.stdout.write("done\n")
