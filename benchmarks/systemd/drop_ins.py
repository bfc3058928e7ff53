"""Steps that need the drop-ins of the guide: each of them without its files, and then with them."""

import re
import time
from pathlib import Path
from typing import Any

from benchmarks.systemd.machine import (
    ENVIRONMENT,
    GUIDE,
    WATCHDOG,
    WORKER,
    count_in_ledger,
    run,
    run_in_repository,
    say,
    start,
    systemctl,
    wait_for,
    wait_for_end,
    write_scenario,
)

ALLOWED = """
ALLOWED_PIDFILE_DIRS=/run/shop
ALLOWED_COMMANDS=ip,touch,rm,systemctl
"""
RULES = "install -D --mode=644 --target-directory=/etc/polkit-1/rules.d deploy/systemd/drop-ins/{}"
PID, MTU = "/run/shop/shop.pid", ["ip", "link", "set", "lo", "mtu"]
Step = dict[str, dict[str, Any]]
# By the files in a row of the guide's table: what to do, and its undo.
STEPS: dict[tuple[str, ...], tuple[Step, Step]] = {
    ("signal.conf",): (
        {"signal": {"pidfile": PID, "signal": "STOP"}},
        {"signal": {"pidfile": PID, "signal": "CONT"}},
    ),
    ("signal.conf", "signal-port.conf"): (
        {"signal": {"port": 9000, "signal": "STOP"}},
        {"signal": {"port": 9000, "signal": "CONT"}},
    ),
    ("command-network.conf",): (
        {"command": {"run": [*MTU, "1400"]}},
        {"command": {"run": [*MTU, "65536"]}},
    ),
    ("command-files.conf",): (
        {"command": {"run": ["touch", "/srv/shop/broken"]}},
        {"command": {"run": ["rm", "-f", "/srv/shop/broken"]}},
    ),
    ("50-test-coordinator.rules",): (
        {"command": {"run": ["systemctl", "stop", "shop.service"]}},
        {"command": {"run": ["systemctl", "start", "shop.service"]}},
    ),
}


def try_drop_ins() -> None:
    assert [tuple(row) for row in GUIDE["rows"]] == list(STEPS), GUIDE["rows"]
    with ENVIRONMENT.open("a") as file:
        file.write(ALLOWED)
    Path("/srv/shop").mkdir()
    run("chown coordinator: /srv/shop")
    systemctl("restart", WATCHDOG, WORKER)
    for files in STEPS:
        before = carry_out(files)
        assert before.startswith("errored"), (files, before)
        install(files)
        # What could not be undone without the drop-in, the watchdog undoes with it.
        wait_for(lambda: count_in_ledger("outstanding") == 0, "nothing is left")
        after = carry_out(files)
        assert after == "passed clean", (files, after)
        say(f"a step that needs {' and '.join(files)}: {before} without, {after} with")
    assert Path("/sys/class/net/lo/mtu").read_text().strip() == "65536"
    assert not Path("/srv/shop/broken").exists()
    assert systemctl("is-active", "shop") == "active"


def carry_out(files: tuple[str, ...]) -> str:
    """How its run ends."""
    name = re.sub(r"[^a-z]+", "-", files[-1]).strip("-")
    return wait_for_end(start(write_scenario(name, *STEPS[files], "1s")))


def install(files: tuple[str, ...]) -> None:
    """By the guide's commands, in which one of the files is an example."""
    for file in files:
        if file.endswith(".rules"):
            run_in_repository(RULES.format(file))
            time.sleep(2)  # polkit reads its folder again
        else:
            run_in_repository(GUIDE["drop_ins"].replace("drop-ins/signal.conf", f"drop-ins/{file}"))
