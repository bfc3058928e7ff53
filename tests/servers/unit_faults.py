"""Runs as root if systemd is process 1: the shipped units, whose coordinator breaks a target.

Writes 'done' at the end.
"""

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

WORKER, RQ_WORKER = "test-coordinator-worker@1", "test-coordinator-rq-worker@1"
WATCHDOG, WEB = "test-coordinator-watchdog", "test-coordinator-web"
SECONDS = 300
DATA, ENVIRONMENT = Path("/var/lib/test-coordinator"), Path("/etc/test-coordinator/environment")
# A Python that was moved finds its library by the last of these.
SETTINGS = """\
SECRET_KEY=k7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQk7mQ
ALLOWED_HOSTS=localhost,127.0.0.1
LEASE_SECONDS=3
WEB_CONCURRENCY=1
LD_LIBRARY_PATH=/opt/python/lib
"""
REDIS = "TASK_BACKEND=rq\nREDIS_URL=redis://127.0.0.1:6379/0\n"
# By the user of the units: another one would leave files that they cannot write.
AS_UNIT = ("setpriv", "--reuid=coordinator", "--regid=coordinator", "--init-groups")
READ = (
    "import sqlite3, sys; print(sqlite3.connect(sys.argv[1], timeout=60).execute(sys.argv[2]).fetchone()[0])"
)
SCENARIO = """\
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: fault-{hold}}}
spec:
  phases:
    - name: chaos
      hold: {hold}
      actions:
        - name: break it
          do: {{http: {{service: target, method: POST, path: /fault}}}}
          undo: {{http: {{service: target, method: DELETE, path: /fault}}}}
"""


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True).stdout.strip()


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def ask(path: str, port: int = 8080) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-Forwarded-Proto": "https"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def is_ready() -> bool:
    return ask("/api/v1/ready")[0] == 200


def count_faults() -> int:
    status, text = ask("/", 9000)
    return int(text) if status == 200 else -1


def read(query: str) -> str:
    command = [*AS_UNIT, "/usr/bin/python3", "-c", READ, str(DATA / "coordinator.sqlite3"), query]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


def find_process(unit: str) -> str:
    return systemctl("show", "--property=MainPID", "--value", unit)


def install() -> None:
    subprocess.run(
        ["useradd", "--system", "--user-group", "--home-dir", str(DATA), "coordinator"], check=True
    )
    ENVIRONMENT.parent.mkdir()
    ENVIRONMENT.write_text(SETTINGS)
    shutil.copytree("/probe/data", DATA)
    subprocess.run(["chown", "--recursive", "coordinator:", str(DATA)], check=True)
    units = Path("/run/systemd/system")
    for unit in Path("/probe").glob("test-coordinator-*.service"):
        # Without its order after the network, which does not come up here.
        (units / unit.name).write_text("[Service]" + unit.read_text().partition("[Service]")[2])
    (units / "target.service").write_text(
        "[Service]\nExecStart=/usr/bin/python3 /probe/target.py 9000 /run/target.pid\n"
    )
    (units / "queue.service").write_text("[Service]\nExecStart=/usr/bin/redis-server --save ''\n")
    systemctl("daemon-reload")
    systemctl("start", "target", WEB, WATCHDOG, WORKER)
    wait_for(is_ready, "ready")
    wait_for(lambda: count_faults() == 0, "the target answers")


def manage(*words: str) -> None:
    settings = ENVIRONMENT.read_text().splitlines()
    command = [*AS_UNIT, "env", *settings, "ENVIRONMENT=production", f"DATA_DIR={DATA}"]
    command += [".venv/bin/python", "manage.py", *words]
    subprocess.run(command, cwd="/opt/test-coordinator", check=True, stdout=subprocess.DEVNULL)


def start_fault(hold: str) -> None:
    """Return in the middle of the fault, which lasts that long."""
    file = Path(f"/run/fault-{hold}.yaml")
    file.write_text(SCENARIO.format(hold=hold))
    manage("scenario", "run", str(file), "--detach")
    active = "SELECT count(*) FROM scenarios_fault WHERE state = 'active'"
    wait_for(
        lambda: (count_faults(), read(active)) == (1, "1"), "the fault is injected, and the ledger knows it"
    )


def wait_for_end(expected: str) -> None:
    query = "SELECT state || ' ' || outcome || ' ' || rollback FROM scenarios_run ORDER BY queued_at DESC"
    wait_for(lambda: read(query).startswith("finished"), "the run has ended")
    assert read(query) == f"finished {expected}", read(query)
    assert count_faults() == 0


def kill(worker: str) -> None:
    start_fault("10m")
    killed = find_process(worker)
    systemctl("kill", "--signal=KILL", worker)
    wait_for_end("interrupted clean")
    wait_for(lambda: find_process(worker) not in {killed, "0"}, "it is started again")


def drain(worker: str) -> None:
    start_fault("3s")
    drained = find_process(worker)
    systemctl("reload", worker)
    wait_for_end("passed clean")
    wait_for(lambda: find_process(worker) not in {drained, "0"}, "it is started again")


def use_redis() -> None:
    with ENVIRONMENT.open("a") as file:
        file.write(REDIS)
    systemctl("stop", WORKER)
    systemctl("restart", "queue", WATCHDOG)
    systemctl("start", RQ_WORKER)


def stop() -> None:
    units = (WEB, WATCHDOG, WORKER, RQ_WORKER)
    systemctl("stop", *units)
    results = systemctl("show", "--property=Result", "--value", *units).split()
    assert results == ["success"] * len(units), results


def carry_out() -> None:
    install()
    kill(WORKER)
    drain(WORKER)
    use_redis()
    kill(RQ_WORKER)
    drain(RQ_WORKER)
    stop()


try:
    carry_out()
except BaseException:
    units = ("--unit=queue", "--unit=test-coordinator-*")
    subprocess.run(["journalctl", "--no-pager", "--output=cat", "--lines=100", *units], check=False)
    sys.stdout.write(f"{ask('/api/v1/ready')}\n")
    raise
sys.stdout.write("done\n")
