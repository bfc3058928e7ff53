"""Systemd's units, and the control groups of their processes."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Mapping

from injector.host.arguments import Process, Refusal, get_text
from injector.host.processes import check_processes
from injector.host.programs import look_for_program, quote_end, read_text, run_program


def explain_no_systemd() -> str:
    """Why systemd cannot be used here; '' if it can."""
    if not os.path.isdir("/run/systemd/system"):
        return "systemd does not run on this host"
    if os.geteuid() != 0:
        return "units need root"
    if not look_for_program("systemd-run"):
        return "'systemd-run' is not installed on this host"
    return ""


def can_start_units() -> bool:
    """Whether systemd can run something here: not from a container that sees the socket of its host."""
    if explain_no_systemd():
        return False
    with contextlib.suppress(OSError):
        return all(
            os.readlink(f"/proc/1/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
            for name in ("mnt", "net", "pid")
        )
    return False


def find_deadly_unit() -> str:
    """The service that this process belongs to, if systemd kills all of its processes when it ends."""
    unit = find_own_service() if os.path.isdir("/run/systemd/system") else ""
    if not unit:
        return ""
    ended = run_program(["systemctl", "show", "--property=KillMode", "--", unit])
    return "" if ended.stdout.strip() in {"KillMode=process", "KillMode=none"} else unit


def find_own_service() -> str:
    """The systemd service that this process belongs to, or ''."""
    for line in read_text("/proc/self/cgroup").splitlines():
        unit = line.rpartition("/")[2]
        is_systemd = line.startswith("0::") or ":name=systemd:" in line
        if is_systemd and unit.endswith(".service"):
            return unit
    return ""


def is_in_container_of_host() -> bool:
    """Whether this is a container that sees the processes of its host, such as with `--pid=host`.

    A service of systemd may have mounts of its own, too, by PrivateTmp=.
    """
    with contextlib.suppress(OSError):  # only root may look
        pid, mnt = (
            os.readlink(f"/proc/1/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
            for name in ("pid", "mnt")
        )
        return pid and not mnt and not find_own_service()
    return False


def call_systemctl(*words: str) -> str:
    """What the command writes.

    Raises:
        Refusal: it fails.
    """
    ended = run_program(["systemctl", *words])
    if ended.returncode != 0:
        raise Refusal(f"'systemctl {' '.join(words)}' failed: {quote_end(ended.stderr)}", "failed")
    return ended.stdout


def show_unit(unit: str) -> dict[str, str]:
    names = "LoadState,ActiveState,ControlGroup,CanStop"
    text = call_systemctl("show", f"--property={names}", "--", unit)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def name_unit(text: str) -> str:
    return text if "." in text else f"{text}.service"


def find_unit(arguments: Mapping[str, Any], own: str) -> tuple[str, list[Process], str]:
    """The unit's name, its processes and the directory of its control group.

    Raises:
        Refusal: it does not run, or must not be touched.
    """
    if reason := explain_no_systemd():
        raise Refusal(f"'unit' cannot be used: {reason}; name the process by 'pidfile' or 'port'")
    unit = name_unit(get_text(arguments, "unit"))
    if not re.fullmatch(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,200}", unit):
        raise Refusal(f"{unit!r} is not the name of a unit")
    if not unit.endswith((".service", ".scope")):
        raise Refusal(f"{unit!r} is not a service; faults are for services and scopes")
    shown = show_unit(unit)
    if shown.get("LoadState") != "loaded":
        raise Refusal(f"this host has no unit {unit!r}")
    if shown.get("ActiveState") not in {"active", "reloading", "activating"}:
        raise Refusal(f"the unit {unit!r} is {shown.get('ActiveState')}, not active")
    group = shown.get("ControlGroup", "")
    if group in {"", "/"}:
        raise Refusal(f"the unit {unit!r} has no processes")
    directory, pids = read_control_group(group)
    return unit, check_processes(pids, own), directory


def read_control_group(group: str) -> tuple[str, list[int]]:
    """The group's directory, and its processes, including those of the groups below."""
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"):
        top = root + group
        if not os.path.isdir(top):
            continue
        pids: set[int] = set()
        for directory, _, files in os.walk(top):
            if "cgroup.procs" in files:
                with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
                    pids.update(int(line) for line in file.read().split())
        if pids:
            return top, sorted(pids)
    raise Refusal(f"the control group {group!r} has no processes")
