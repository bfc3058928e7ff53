"""Runs as root on the machine of systemd_guide.py: follows the guide, breaks units, prints what it saw."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.systemd.drop_ins import try_drop_ins
from benchmarks.systemd.machine import (
    ENVIRONMENT,
    GUIDE,
    KEY,
    PASSWORD,
    RQ_WORKER,
    WATCHDOG,
    WEB,
    WORKER,
    coordinator,
    count_faults,
    find_process,
    is_ready,
    read_end,
    run,
    run_in_repository,
    say,
    start,
    start_fault,
    systemctl,
    wait_for,
    wait_for_end,
    wait_for_new_process,
    write_fault,
)

FILLED_IN = f"""
SECRET_KEY={KEY}
DATABASE_URL=postgres://coordinator:{PASSWORD}@127.0.0.1/coordinator
ALLOWED_HOSTS=localhost,127.0.0.1
"""
SHOP = """\
[Service]
User=nobody
RuntimeDirectory=shop
ExecStart=/usr/bin/python3 /trial/benchmarks/systemd/target.py 9000 /run/shop/shop.pid
"""
workers = [WORKER]


def install() -> None:
    Path("/etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    wait_for(lambda: subprocess.run(["pg_isready", "-q"], check=False).returncode == 0, "PostgreSQL is up")
    fill_in = f"cat >>{ENVIRONMENT} <<'END'{FILLED_IN}END"
    lines = GUIDE["installing"].replace("ADDRESS", "/trial/repository")
    script = re.sub(r"^(install -D .*)$", lambda found: f"{found[0]}\n{fill_in}", lines, flags=re.MULTILINE)
    begun = time.monotonic()
    run(script)
    say("the box of the guide, from useradd to systemctl enable", time.monotonic() - begun)
    say("then until `ready` answers 200", wait_for(is_ready, "ready"))


def set_up_target() -> None:
    Path("/etc/systemd/system/shop.service").write_text(SHOP)
    systemctl("daemon-reload")
    systemctl("start", "shop")
    wait_for(lambda: count_faults() == 0, "the target answers")
    coordinator("scenario service add target --url http://127.0.0.1:9000")


def kill_worker() -> None:
    (worker,) = workers
    run_id, pid = start_fault("10m"), find_process(worker)
    systemctl("kill", "--signal=KILL", worker)
    seconds = wait_for(lambda: count_faults() == 0, "the watchdog undoes the fault")
    end = wait_for_end(run_id)
    assert end == "interrupted clean", end
    wait_for_new_process(worker, pid)
    say(f"{worker} killed (SIGKILL) in a fault: {end}, started again by systemd; undone after", seconds)


def restart_worker() -> None:
    (worker,) = workers
    run_id, begun = start_fault("10m"), time.monotonic()
    systemctl("restart", worker)
    seconds = time.monotonic() - begun
    assert count_faults() == 0
    end = wait_for_end(run_id)
    assert end == "interrupted clean", end
    say(f"{worker} restarted in a fault: {end}; undone when the command returned, after", seconds)


def restart_others() -> None:
    run_id = start_fault("40s")
    systemctl("restart", WATCHDOG)
    systemctl("restart", WEB)
    assert count_faults() == 1
    seconds = wait_for(is_ready, "ready")
    end = wait_for_end(run_id)
    assert end == "passed clean", end
    say(f"watchdog and web restarted in a fault: {end}; ready again after", seconds)


def drain_worker() -> None:
    (worker,) = workers
    run_id, pid = start_fault("10s"), find_process(worker)
    systemctl("reload", f"{worker.partition('@')[0]}@*")
    end = wait_for_end(run_id)
    assert end == "passed clean", end
    wait_for_new_process(worker, pid)
    say(f"{worker} drained by systemctl reload in a fault: {end}, then a new process")


def use_redis() -> None:
    begun = time.monotonic()
    run_in_repository(GUIDE["redis"])
    workers[:] = [RQ_WORKER]
    wait_for(is_ready, "ready")
    say("the box about Redis, then until ready", time.monotonic() - begun)


def restart_redis() -> None:
    run_id = start_fault("20s")
    systemctl("restart", "redis-server")
    end = wait_for_end(run_id)
    assert end == "passed clean", end
    systemctl("stop", "redis-server")
    waiting = start(write_fault("1s"))
    time.sleep(5)
    assert read_end(waiting).startswith("queued"), read_end(waiting)
    systemctl("start", "redis-server")
    begun = time.monotonic()
    end = wait_for_end(waiting)
    assert end == "passed clean", end
    seconds = time.monotonic() - begun
    say("Redis restarted in a fault, which passed; a run queued while it was stopped passed after", seconds)


def upgrade() -> None:
    begun = time.monotonic()
    systemctl("stop", WEB, WATCHDOG, *workers)
    for words in (
        "backup /var/lib/test-coordinator/coordinator.backup",
        "migrate",
        "check --deploy --database default",
    ):
        coordinator(words)
    systemctl("start", WEB, WATCHDOG, *workers)
    wait_for(is_ready, "ready")
    say("stopped, backed up, migrated, checked, started, ready", time.monotonic() - begun)


def read_journal() -> None:
    for unit in (WEB, WATCHDOG, WORKER, RQ_WORKER):
        command = ["journalctl", "--output=json", f"--unit={unit}", "_TRANSPORT=stdout"]
        entries = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        lines = [str(json.loads(entry)["MESSAGE"]) for entry in entries]
        others = [line for line in lines if not line.startswith("{")]
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        assert not any(secret in line for line in lines for secret in (KEY, PASSWORD)), unit
        of_runs = sum("run_id" in line for line in parsed)
        say(f"journal of {unit}: {len(parsed)} lines of JSON ({of_runs} with a run_id), {len(others)} others")
        for line in others[:5]:
            say(f"  other: {line}")


STEPS = (
    install,
    set_up_target,
    kill_worker,
    restart_worker,
    restart_others,
    drain_worker,
    try_drop_ins,
    upgrade,
    use_redis,
    kill_worker,
    restart_worker,
    drain_worker,
    restart_redis,
    read_journal,
)
for step in STEPS:
    step()
sys.stdout.write("done\n")
