"""The host of this process, and the steps that take effect on the host of the process that runs them.

A fault of such a step is on one machine: an undo on another would succeed and change nothing.
"""

import re
import socket
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings

from scenarios.domain.plan import Step
from scenarios.drivers.installed import installed_drivers

# A run holds a host like a service; the name of a service cannot contain a slash.
TARGET_PREFIX = "host/"
# The host of the worker that will claim the run, which is unknown while the run is queued.
ANY_HOST = f"{TARGET_PREFIX}*"

# Written by systemd and D-Bus; a machine keeps it when it restarts or gets a new name.
# https://www.freedesktop.org/software/systemd/man/latest/machine-id.html
MACHINE_ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
WAITING = "waiting for host"
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_MAX_HOSTNAME = 45
_DIGITS = 8


def this_host() -> str:
    """HOST_NAME, or the machine's name with a few digits derived from its machine id.

    The name alone is often 'localhost' or shared by clones, and clones may also share the machine id.
    Containers often have no machine id; then it is the name only.
    """
    if settings.HOST_NAME:
        return str(settings.HOST_NAME)
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower())[:_MAX_HOSTNAME].strip("-.")
    return "-".join(part for part in (name or "unnamed", _hash_machine_id()) if part)


def machine_id() -> str:
    """This machine's id, or "" if it has none."""
    for file in MACHINE_ID_FILES:
        try:
            found = Path(file).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if _MACHINE_ID.fullmatch(found):  # 'uninitialized' in an image that has never booted
            return found
    return ""


def _hash_machine_id() -> str:
    # A hash, because machine-id(5) asks not to show the id to others.
    found = machine_id()
    return sha256(f"test-coordinator {found}".encode()).hexdigest()[:_DIGITS] if found else ""


def is_host_bound(step: Step) -> bool:
    """Whether the step's driver declares that it acts on the host of the process that runs it."""
    return bool(getattr(installed_drivers().get(step.driver), "is_host_bound", False))


def are_host_bound(steps: Iterable[Step]) -> bool:
    return any(is_host_bound(step) for step in steps)


def format_target(host: str) -> str:
    return f"{TARGET_PREFIX}{host}"


def is_target(name: str) -> bool:
    """Whether this is held as a host."""
    return name.startswith(TARGET_PREFIX)


def find_port(arguments: Mapping[str, Any]) -> int:
    """The port in a step's arguments, which may be written as 8000.0; 0 without a port."""
    port = arguments.get("port")
    is_whole = isinstance(port, int) or (isinstance(port, float) and port.is_integer())
    return int(port) if port is not None and is_whole else 0


def list_local_addresses(port: int) -> set[tuple[str, int]]:
    """The addresses under which a service on this port of this host may be registered."""
    return {(name, port) for name in ("localhost", "127.0.0.1", "::1", socket.gethostname().lower())}


def explain_waiting(host: str) -> str:
    return (
        f"{WAITING} {host!r}, where it was injected: only that host's watchdog, or "
        "'manage.py scenario undo' there, can undo it"
    )
