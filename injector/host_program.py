"""The host program: injects, renews and removes faults on the machine that runs it.

One file, the standard library, Python 3.8: it is sent to the machine, or installed there as the forced
command of an ssh key. Each call reads one request from standard input, does one thing, writes one answer,
and exits.

    {"do": "inject", "id": "run-7/fault-1", "lease": 15, "kind": "pause", "arguments": {"port": 8000}}
    {"do": "renew", "id": …, "lease": 15}
    {"do": "remove", "id": …}
    {"do": "is_present", "id": …}
    {"do": "describe", "kind": …, "arguments": …}
    {"do": "sweep"}

An answer has `ok`; where that is false, also `code` and `reason`. What must last longer than the call is held
by the kernel (nftables), by systemd, or by a guardian: a process of its own that ends the fault one lease
after its last renewal, by a clock that nobody can set, whatever became of everybody else.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import fnmatch
import hashlib
import heapq
import ipaddress
import json
import math
import os
import random
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NamedTuple, Sequence  # noqa: UP035 - Python 3.8

if TYPE_CHECKING:
    # Only a relay needs it, and it takes longer to import than all others together.
    import asyncio

    # Python 3.8 knows no dict[str, Any].
    Record = dict[str, Any]
    Json = dict[str, Any]
    Process = tuple[int, int]

ALLOW_LIST = "/etc/test-coordinator/host-faults.json"
STATE = "/run/test-coordinator"
MIN_LEASE = 1.0
MAX_LEASE = 3600.0
MAX_REQUEST = 64 * 1024
MAX_TARGETS = 64
MAX_KEPT = 10_000
KEPT_SECONDS = 86_400.0
LOCK_SECONDS = 20.0
COMMAND_SECONDS = 10.0
START_SECONDS = 20.0
END_SECONDS = 5.0
TICK_SECONDS = 0.2
# How long a guardian waits for the lock when its lease is over.
GUARDIAN_LOCK_SECONDS = 0.25
# Where clients' ports begin: ip_local_port_range of Linux.
EPHEMERAL_PORT = 32_768
PID_FILE_SLACK = 2.0
LAST_WORDS = 300
# How long connections that a relay has may last when its fault is over.
LINGER_SECONDS = 600.0
DNS_PORT = 53
# Space that a full disk keeps for the state directory: renewals and removals are written down there.
STATE_BYTES = 4 << 20
MAX_QUERIES = 500
MAX_NAME_SERVERS = 6
# Each state directory has a table of its own: another one in this network namespace may belong to anybody.
TABLE = "test_coordinator"
SO_MARK = 36  # socket(7); Python has no name for it
MARK = 0x7E57C0
# Of linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_HEADER, NLMSG_ERROR, NLMSG_DONE = 16, 2, 3
NLA_HEADER = 4
CT_SUBSYSTEM, CT_GET, CT_DELETE = 1, 1, 2
CTA_TUPLE_ORIG, CTA_STATUS = 1, 3
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_DST, CTA_IP_V6_DST = 2, 4
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
IPS_DST_NAT = 0x20
REQUEST_MARK = "# request: "
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A program that is streamed finds its own text here: the guardian is started from a copy of it.
SOURCE = globals().get("SOURCE", "")


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the program
    """The request is not carried out. `code`: impossible, not_done, gone or failed."""

    def __init__(self, reason: str, code: str = "impossible") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def now() -> float:
    """Seconds since the machine was started, those it slept included. Nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def hash_id(fault_id: str) -> str:
    """What files, chains and units are named by: an id may have any character."""
    return hashlib.sha256(fault_id.encode()).hexdigest()[:24]


# What is remembered


class Store:
    """The faults of this machine, one file each, in a directory of the user who runs this program."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def open(self) -> None:
        """Create the directory.

        Raises:
            Refusal: it cannot be had, or others may write there.
        """
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            found = os.lstat(self.directory)
        except OSError as error:
            raise Refusal(f"the directory {self.directory!r} cannot be made: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise Refusal(f"{self.directory!r} must be a directory that only this user may write to")

    @contextlib.contextmanager
    def lock(
        self, seconds: float = LOCK_SECONDS, gives_up: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """One call at a time.

        Raises:
            Refusal: another call goes on for longer than that, or `gives_up` says so.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(os.path.join(self.directory, "lock"), flags, 0o600)
        deadline = time.monotonic() + seconds
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > deadline or gives_up():
                        raise Refusal(f"another call has not ended within {seconds:g} s", "failed") from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def _path(self, name: str, fault_id: str) -> str:
        return os.path.join(self.directory, f"{name}-{hash_id(fault_id)}.json")

    def read(self, fault_id: str) -> Record | None:
        """The fault; None where it is unknown, or where its file cannot be read."""
        record = read_json_file(self._path("fault", fault_id))
        return record if record is not None and is_whole(record) else None

    def read_guardian(self, fault_id: str) -> Json:
        """What the fault's guardian has written: itself, and what it holds."""
        return read_json_file(self._path("guardian", fault_id)) or {}

    def write(self, fault_id: str, record: Mapping[str, Any], name: str = "fault") -> None:
        """Replace the file as a whole.

        Raises:
            Refusal: the disk is full, or cannot be written to.
        """
        self._replace(self._path(name, fault_id), record)

    def _replace(self, path: str, record: Mapping[str, Any]) -> None:
        beside = f"{path}.{os.getpid()}"
        try:
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(record, file)
            os.replace(beside, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise Refusal(f"{path!r} cannot be written: {error.strerror}", "not_done") from error

    def forget(self, fault_id: str, name: str = "fault") -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name, fault_id))

    def records(self) -> list[Record]:
        """Every fault that is remembered, those that have ended included."""
        found = []
        for name in os.listdir(self.directory):
            if name.startswith("fault-") and name.endswith(".json"):
                record = read_json_file(os.path.join(self.directory, name))
                if record is not None and is_whole(record):
                    found.append(record)
        return found

    def active(self, *kinds: str, but: str = "") -> list[Record]:
        """Faults that are injected now, of these kinds, except the one with the id `but`."""
        return [
            record
            for record in self.records()
            if record.get("status") == "active" and record["kind"] in kinds and record["id"] != but
        ]

    def find_table(self) -> str:
        """The table of nftables that has the rules of this directory, and of no other.

        Neither the path nor the device would tell two containers with the host's network apart.

        Raises:
            Refusal: the file that remembers it cannot be written.
        """
        name = (read_json_file(os.path.join(self.directory, "table.json")) or {}).get("name")
        if not isinstance(name, str) or not re.fullmatch(rf"{TABLE}_[0-9a-f]{{16}}", name):
            name = f"{TABLE}_{os.urandom(8).hex()}"
            self._replace(os.path.join(self.directory, "table.json"), {"name": name})
        return f"inet {name}"

    def install_program(self) -> str:
        """The path of a copy of this program, for the guardian."""
        text = read_source()
        path = os.path.join(self.directory, f"program-{hashlib.sha256(text.encode()).hexdigest()[:16]}.py")
        if not os.path.exists(path):
            beside = f"{path}.{os.getpid()}"
            with open(beside, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(beside, path)
        return path


def read_source() -> str:
    if SOURCE:
        return str(SOURCE)
    with open(__file__, encoding="utf-8") as file:
        return file.read()


def read_json_file(path: str) -> Record | None:
    """The object in the file; None where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_whole(record: Record) -> bool:
    """Whether it has what every fault has: somebody may have edited the file."""
    needed = {"id", "status", "boot"}
    if record.get("status") == "active":
        needed |= {"kind", "target", "until"}
    return needed <= set(record) and record.get("kind", "pause") in KINDS


# Processes


def read_process(pid: int) -> tuple[str, int, int]:
    """State, parent and start time in clock ticks since boot, from proc(5).

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    return words[0], int(words[1]), int(words[19])


def is_running(process: Sequence[int]) -> bool:
    """Whether this very process is there: another may have its number by now."""
    try:
        state, _, start = read_process(process[0])
    except (OSError, IndexError, ValueError):
        return False
    return start == process[1] and state not in {"Z", "X"}


def is_stopped(process: Sequence[int]) -> bool:
    try:
        state, _, start = read_process(process[0])
    except (OSError, IndexError, ValueError):
        return False
    return start == process[1] and state in {"T", "t"}


def send_signal(process: Sequence[int], number: int) -> bool:
    """Send the signal to this very process; False where it is gone.

    Raises:
        Refusal: it belongs to another user.
    """
    pid = process[0]
    try:
        if hasattr(os, "pidfd_open"):  # since Python 3.9: the number cannot be reused in between
            descriptor = os.pidfd_open(pid)
            try:
                if not is_running(process):
                    return False
                signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
        elif not is_running(process):
            return False
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise Refusal(f"process {pid} belongs to another user: it cannot be signalled") from error
    return True


def find_ancestors() -> list[int]:
    """This process, its parent and so on, without process 1."""
    found, pid = [], os.getpid()
    while pid > 1:
        found.append(pid)
        try:
            pid = read_process(pid)[1]
        except OSError:
            break
    return found


def find_listeners(port: int) -> list[int]:
    """The processes that listen on this TCP port and are visible to this user."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in file.read().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return sorted(pid for pid in numbers if inodes and has_socket(pid, inodes))


def has_socket(pid: int, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                    return True
    return False


def read_owner(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid
    return -1


def read_pid_file(path: str) -> int:
    """The process that the file names, if it was started before the file was written.

    Raises:
        Refusal: it is not a pid file, or its process is gone.
    """
    if not path.startswith("/"):
        raise Refusal(f"pidfile {path!r} is not an absolute path: it must begin with '/'")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            text = os.read(descriptor, 4096) if stat.S_ISREG(found.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Refusal(f"pidfile {path!r} cannot be read: {error.strerror}") from error
    match = re.match(rb"\s*([0-9]{1,10})\s*(?:\n|\Z)", text)
    if match is None or int(match[1]) == 0:
        raise Refusal(f"{path!r} is not a pid file: its first line must be the number of a process")
    pid = int(match[1])
    try:
        start = read_process(pid)[2]
    except OSError:
        raise Refusal(f"process {pid} of {path!r} is gone") from None
    started_at = time.time() - now() + start / os.sysconf("SC_CLK_TCK")
    if started_at > found.st_mtime + PID_FILE_SLACK:
        raise Refusal(
            f"the process that {path!r} named is gone: its number, {pid}, belongs to one that started later"
        )
    if found.st_uid not in {0, os.geteuid(), read_owner(pid)}:
        raise Refusal(f"{path!r} belongs to another user than process {pid}: it may name any process")
    return pid


def find_processes(arguments: Mapping[str, Any], own: str) -> list[Process]:
    """The processes that `pidfile` or `port` name.

    Raises:
        Refusal: there are none, or they must not be touched.
    """
    if "pidfile" in arguments:
        pids = [read_pid_file(get_text(arguments, "pidfile"))]
    else:
        port = get_port(arguments, "port")
        pids = find_listeners(port)
        if not pids:
            raise Refusal(f"no visible process listens on port {port}")
    return check_processes(pids, own)


def check_processes(pids: Sequence[int], own: str) -> list[Process]:
    """The processes with their start times.

    Raises:
        Refusal: one of them must not be touched.
    """
    if len(pids) > MAX_TARGETS:
        raise Refusal(f"these are {len(pids)} processes; a fault has at most {MAX_TARGETS}")
    ancestors = find_ancestors()
    found = []
    for pid in pids:
        if pid == 1:
            raise Refusal("process 1 is the system itself: it is never touched")
        if pid in ancestors or is_of_coordinator(pid, own):
            raise Refusal(
                f"process {pid} belongs to the coordinator or to its connection: it is never touched"
            )
        try:
            _, parent, start = read_process(pid)
        except OSError:
            continue
        if parent == 2 or pid == 2:  # noqa: PLR2004 - kthreadd
            raise Refusal(f"process {pid} belongs to the kernel: it is never touched")
        try:
            os.kill(pid, 0)
        except PermissionError as error:
            raise Refusal(f"process {pid} belongs to another user: it cannot be signalled") from error
        except ProcessLookupError:
            continue
        found.append((pid, start))
    if not found:
        raise Refusal("the process has just ended")
    return found


def is_of_coordinator(pid: int, own: str) -> bool:
    """Whether it is a guardian, or runs the coordinator in the directory `own`.

    The demo services there may be broken.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
        directory = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    if "guard" in words and "--state" in words:
        return True
    if not own or "demo_service" in words:
        return False
    manage = os.path.join(own, "manage.py")
    if any(os.path.realpath(os.path.join(directory, word)) == manage for word in words if word):
        return True
    return directory == own and any(word.endswith(("gunicorn", "db_worker", "rqworker")) for word in words)


# Other programs


def run_program(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run it to its end.

    Raises:
        Refusal: it is not installed, or has not ended in time.
    """
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
    try:
        return subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise Refusal(f"{command[0]!r} is not installed on this host") from None
    except OSError as error:
        raise Refusal(f"{command[0]!r} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise Refusal(f"{command[0]!r} has not ended within {COMMAND_SECONDS:g} s", "failed") from None


def look_for_program(name: str) -> str:
    """Its path; '' where it is not installed."""
    paths = (os.path.join(directory, name) for directory in SYSTEM_PATH.split(":"))
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def quote_end(text: str) -> str:
    return " ".join(text.split())[-LAST_WORDS:]


def explain_no_systemd() -> str:
    """Why systemd cannot be used here; '' where it can."""
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
    """The service of systemd that this process belongs to; '' where there is none."""
    for line in read_text("/proc/self/cgroup").splitlines():
        unit = line.rpartition("/")[2]
        is_of_systemd = line.startswith("0::") or ":name=systemd:" in line
        if is_of_systemd and unit.endswith(".service"):
            return unit
    return ""


def is_in_container_of_host() -> bool:
    """Whether this is a container that sees the processes of its host, such as with `--pid=host`.

    A service of systemd may have mounts of its own, too, by PrivateTmp=.
    """
    with contextlib.suppress(OSError):  # others than root may not look
        pid, mnt = (
            os.readlink(f"/proc/1/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
            for name in ("pid", "mnt")
        )
        return pid and not mnt and not find_own_service()
    return False


def call_systemctl(*words: str) -> str:
    """What it writes.

    Raises:
        Refusal: it answers no.
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
    """Its directory, and its processes, those of the groups below included."""
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


# What requests contain


def get_text(arguments: Mapping[str, Any], word: str) -> str:
    value = arguments.get(word)
    if not isinstance(value, str) or not value or "\0" in value:
        raise Refusal(f"{word}={value!r} must be text")
    return value


def get_number(
    arguments: Mapping[str, Any], word: str, least: float, most: float, default: float | None = None
) -> float:
    value = arguments.get(word, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise Refusal(f"{word}={value!r} must be a number from {least:g} to {most:g}")
    return value


def get_whole(
    arguments: Mapping[str, Any], word: str, least: int, most: int, default: int | None = None
) -> int:
    value = get_number(arguments, word, least, most, default)
    if value != int(value):
        raise Refusal(f"{word}={value!r} must be a whole number")
    return int(value)


def get_port(arguments: Mapping[str, Any], word: str) -> int:
    return get_whole(arguments, word, 1, 65_535)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises Refusal: it is not the address of a host."""
    try:
        address = ipaddress.ip_address(text.replace("%", "/"))  # no zone of an interface
    except ValueError as error:
        raise Refusal(f"{text!r} is not an IP address; write it as '10.0.0.7'") from error
    return getattr(address, "ipv4_mapped", None) or address


def check_words(arguments: Mapping[str, Any], kind: str, words: Sequence[str]) -> None:
    for word in arguments:
        if word not in words:
            raise Refusal(f"{kind!r} has no {word!r}; it takes {', '.join(words)}")


# What is allowed


class Policy:
    """Which faults this machine allows, and which addresses must stay reachable.

    The file is the rule for everybody. Without it only those kinds are allowed that the command line names,
    as the coordinator's worker does for its own host; a request cannot name them.
    """

    def __init__(self, path: str, kinds: Sequence[str] | None) -> None:
        self._path = path
        self._kinds = kinds
        self._rules: Mapping[str, Any] | None = None
        self.injector = ""

    def read(self) -> None:
        """Raises Refusal: the file is not root's alone, or makes no sense."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Refusal(f"{self._path!r} cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, encoding="utf-8") as file:
            found = os.fstat(descriptor)
            if found.st_uid != 0 or found.st_mode & 0o022:
                raise Refusal(f"{self._path!r} must belong to root, and nobody else may write to it")
            try:
                content = json.load(file)
                rules = content["kinds"]
                self.injector = str(content.get("injector", ""))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Refusal(f"{self._path!r} must hold an object with 'kinds'") from error
        if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
            raise Refusal(f"'kinds' in {self._path!r} must be an object of objects")
        self._rules = rules

    def explain_kind(self, kind: str) -> str:
        """Why the kind is not allowed; '' where it is."""
        if self._kinds is not None and kind not in self._kinds:
            return f"{kind!r} is not allowed: ALLOWED_HOST_FAULTS names {', '.join(self._kinds) or 'none'}"
        if self._rules is not None:
            if kind not in self._rules:
                return f"{kind!r} is not allowed: {self._path!r} names {', '.join(self._rules) or 'none'}"
        elif self._kinds is None:
            return f"{kind!r} is not allowed: this host has no {self._path!r}"
        return ""

    def check(self, kind: str, arguments: Mapping[str, Any]) -> None:
        """Raises Refusal: the kind, or one of its targets, is not allowed."""
        if reason := self.explain_kind(kind):
            raise Refusal(reason)
        for word, allowed in (self._rules or {}).get(kind, {}).items():
            if not isinstance(allowed, list):
                raise Refusal(f"{word!r} of {kind!r} in {self._path!r} must be a list")
            if word == "ways":
                given = [way for way in ("unit", "pidfile", "port", "to", "from") if way in arguments]
                if not set(given) <= set(allowed):
                    raise Refusal(f"{kind!r} by {given} is not allowed: {self._path!r} allows {allowed}")
            elif word not in arguments:
                raise Refusal(f"{kind!r} must name {word!r}: {self._path!r} allows {allowed}")
            elif not any(matches(name_target(word, arguments[word]), pattern) for pattern in allowed):
                raise Refusal(f"{word}={arguments[word]!r} is not allowed: {self._path!r} allows {allowed}")


def name_target(word: str, value: object) -> object:
    return name_unit(value) if word == "unit" and isinstance(value, str) else value


def matches(value: object, pattern: object) -> bool:
    """Whether it is the value, a network with it, or a pattern such as '/run/shop/*.pid'."""
    if value == pattern:
        return True
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)
    return ".." not in value.split("/") and fnmatch.fnmatchcase(value, pattern)


class Lifelines:
    """The connections that no rule may cut: this call's own over ssh, and what the request names."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.server_port = 0
        self._ends: list[tuple[Any, int]] = []
        words = find_ssh_connection().split()
        if len(words) == 4:  # noqa: PLR2004 - client's address and port, server's address and port
            with contextlib.suppress(Refusal, ValueError):
                self._ends.append((parse_address(words[0].partition("%")[0]), int(words[1])))
                self.server_port = int(words[3])
        for text in addresses:
            host, port = split_address(text)
            self._ends.append((parse_address(host), port))

    def check(self, direction: str, address: Any, port: int | None) -> None:
        """Raises Refusal: the rule would cut one of them. No `address` stands for any."""
        for end, end_port in self._ends:
            if address is not None and address != end:
                continue
            # The coordinator's next connection has another port, of those that clients get.
            cuts_out = port is None or port == end_port or port >= EPHEMERAL_PORT
            cuts_in = port is None or port == self.server_port or port >= EPHEMERAL_PORT
            if cuts_out if direction == "out" else cuts_in:
                where = "any" if address is None else str(address)
                raise Refusal(
                    f"a rule for {where!r}, port {port or 'any'}, would cut the connection with the "
                    f"coordinator at {str(end)!r}; name another port"
                )


def split_address(text: str) -> tuple[str, int]:
    """`10.0.0.1`, `10.0.0.1:5432`, `::1` or `[::1]:5432`; 0 where there is no port."""
    match = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if match is None:
        return text.strip("[]"), 0
    return match[1] or match[3], int(match[2] or match[4])


def find_ssh_connection() -> str:
    """SSH_CONNECTION of this process, or of an ancestor: sudo does not hand it on."""
    if "SSH_CONNECTION" in os.environ:
        return os.environ["SSH_CONNECTION"]
    for pid in find_ancestors()[1:]:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            match = re.search(rb"(?:\A|\0)SSH_CONNECTION=([^\0]*)", file.read())
            if match is not None:
                return match[1].decode("ascii", "replace")
    return ""


class Call:
    """What a kind of fault may ask about the call it serves."""

    def __init__(self, store: Store, policy: Policy, request: Mapping[str, Any]) -> None:
        self.store = store
        self.policy = policy
        own = request.get("own", "")
        addresses = request.get("coordinator", [])
        if not isinstance(own, str) or not isinstance(addresses, list):
            raise Refusal("'own' must be text, and 'coordinator' a list of addresses")
        self.own = os.path.realpath(own) if own else ""
        self.lifelines = Lifelines([str(address) for address in addresses])


# The kinds of fault


class Kind:
    """One kind of fault.

    `check` finds its target and changes nothing; what it returns is kept. Where `is_guarded`, `apply` and
    `undo` are called by the guardian, and `undo` also by a call that finds the guardian
    dead. Each of them may be called more than once. Where `dies_with_guardian`, one that systemd has started
    again injects it again.
    """

    is_guarded = False
    dies_with_guardian = False
    is_leased = True
    lingers = False
    words: tuple[str, ...] = ()

    def explain(self, call: Call) -> str:
        """Why this kind cannot be injected here, whatever its target; '' where it can."""
        del call
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        raise NotImplementedError

    def apply(self, record: Record, store: Store) -> Json:
        raise NotImplementedError

    def keep(self, record: Record, held: Json) -> None:
        """Called by the guardian several times a second while the fault lasts."""

    def linger(self, record: Record, store: Store) -> None:
        """Called by the guardian when the fault is over; returns when nothing needs this process any more."""

    def renew(self, record: Record, store: Store) -> None:
        """Raises Refusal: the fault is gone."""

    def undo(self, record: Record, store: Store, held: Json) -> None:
        raise NotImplementedError

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        raise NotImplementedError


def find_way(arguments: Mapping[str, Any], kind: str) -> str:
    ways = [way for way in ("unit", "pidfile", "port") if way in arguments]
    if len(ways) != 1:
        raise Refusal(f"{kind!r} needs exactly one of 'unit', 'pidfile' and 'port'")
    return ways[0]


class Pause(Kind):
    """SIGSTOP, or the freezer of the unit's control group."""

    is_guarded = True
    words = ("unit", "pidfile", "port")

    def explain(self, call: Call) -> str:
        if can_start_units():
            return ""
        unit = find_deadly_unit()
        if unit:
            return (
                f"the guardian would be killed together with the unit {unit!r}; reach this host by ssh, "
                "or give the unit KillMode=process"
            )
        if is_in_container_of_host():
            return (
                "this container has the process ids of its host: the guardian would be killed together with "
                "the container, and the processes would stay paused; reach the host by ssh"
            )
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if find_way(arguments, "pause") == "unit":
            unit, processes, directory = find_unit(arguments, call.own)
            freezer = os.path.join(directory, "cgroup.freeze")
            if os.path.exists(freezer):
                check_freezer(unit, freezer, call.store)
                return {"unit": unit, "freezer": freezer, "processes": []}
            target: Json = {"unit": unit, "processes": processes}
        else:
            target = {"processes": find_processes(arguments, call.own)}
        paused = list_paused(call.store, "")
        for process in target["processes"]:
            if is_stopped(process) and tuple(process) not in paused:
                raise Refusal(f"process {process[0]} is stopped already, and not by this program")
        return target

    def apply(self, record: Record, store: Store) -> Json:
        del store
        target = record["target"]
        if "freezer" in target:
            write_text(target["freezer"], "1")
            return {"unit": target["unit"], "mechanism": "freezer"}
        stopped = [process[0] for process in target["processes"] if send_signal(process, signal.SIGSTOP)]
        if not stopped:
            raise Refusal("the process has just ended", "not_done")
        return {"pids": stopped, "mechanism": "SIGSTOP"}

    def renew(self, record: Record, store: Store) -> None:
        del store
        processes = record["target"]["processes"]
        running = [process for process in processes if is_running(process)]
        if processes and (not running or not all(is_stopped(process) for process in running)):
            raise Refusal("the process has ended, or somebody has continued it", "gone")
        freezer = record["target"].get("freezer")
        if freezer and read_text(freezer) != "1":
            raise Refusal("the unit has ended, or somebody has thawed it", "gone")

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        target = record["target"]
        freezer = target.get("freezer")
        if freezer and not has_frozen(store, freezer, record["id"]):
            with contextlib.suppress(FileNotFoundError):  # the unit has ended
                write_text(freezer, "0")
        paused = list_paused(store, record["id"])
        for process in target["processes"]:
            if tuple(process) not in paused:
                send_signal(process, signal.SIGCONT)

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del held
        target = record["target"]
        if "freezer" in target:
            is_of_another = has_frozen(store, target["freezer"], record["id"])
            return read_text(target["freezer"]) == "1" and not is_of_another
        paused = list_paused(store, record["id"])
        mine = [process for process in target["processes"] if tuple(process) not in paused]
        return any(is_stopped(process) for process in mine)


def has_frozen(store: Store, freezer: str, but: str) -> bool:
    """Whether another fault than `but` holds the unit."""
    return any(other["target"].get("freezer") == freezer for other in store.active("pause", but=but))


def check_freezer(unit: str, freezer: str, store: Store) -> None:
    """Raises Refusal: somebody else has frozen the unit, who would find it thawed."""
    if read_text(freezer) == "1" and not has_frozen(store, freezer, ""):
        raise Refusal(f"the unit {unit!r} is frozen already, and not by this program")


def list_paused(store: Store, but: str) -> set[Process]:
    """The processes that other faults hold."""
    found = store.active("pause", but=but)
    return {(pid, start) for record in found for pid, start in record["target"]["processes"]}


def write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read_text(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""


class Once(Kind):
    """What has no undo: nothing is left to end."""

    is_leased = False

    def undo(self, record: Record, store: Store, held: Json) -> None:
        pass

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del record, store, held
        return False


class Kill(Once):
    words = ("unit", "pidfile", "port")

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if find_way(arguments, "kill") == "unit":
            unit, processes, _ = find_unit(arguments, call.own)
            return {"unit": unit, "processes": processes}
        return {"processes": find_processes(arguments, call.own)}

    def apply(self, record: Record, store: Store) -> Json:
        del store
        killed = [p[0] for p in record["target"]["processes"] if send_signal(p, signal.SIGKILL)]
        if not killed:
            raise Refusal("the process has just ended", "not_done")
        return {"pids": killed, "mechanism": "SIGKILL"}


class UnitKind(Kind):
    words = ("unit",)

    def explain(self, call: Call) -> str:
        del call
        return explain_no_systemd()

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        return {"unit": find_unit(arguments, call.own)[0]}


class Restart(UnitKind, Once):
    def apply(self, record: Record, store: Store) -> Json:
        del store
        call_systemctl("restart", "--no-block", "--", record["target"]["unit"])
        return {"unit": record["target"]["unit"], "mechanism": "systemctl restart"}


class Stop(UnitKind):
    """systemctl stop; a timer of systemd starts the unit again."""

    def apply(self, record: Record, store: Store) -> Json:
        unit = record["target"]["unit"]
        # The timer first: whatever dies in between, the unit is started again.
        self._set_timer(record, store)
        call_systemctl("stop", "--no-block", "--", unit)
        deadline = time.monotonic() + END_SECONDS
        while show_unit(unit).get("ActiveState") in {"active", "deactivating"}:
            if time.monotonic() > deadline:
                return {"unit": unit, "mechanism": "systemctl stop", "note": "the unit is still stopping"}
            time.sleep(0.05)
        return {"unit": unit, "mechanism": "systemctl stop"}

    def _set_timer(self, record: Record, store: Store) -> None:
        before = record.get("timer")
        name = f"test-coordinator-{hash_id(record['id'])}-{int(now() * 1000)}"
        seconds = max(0.1, record["until"] - now())
        command = ["systemd-run", "--quiet", "--collect", f"--unit={name}", f"--on-active={seconds:.3f}s"]
        command += ["--timer-property=AccuracySec=100ms", "systemctl", "start", record["target"]["unit"]]
        ended = run_program(command)
        if ended.returncode != 0:
            raise Refusal(f"systemd takes no timer: {quote_end(ended.stderr)}", "not_done")
        record["timer"] = f"{name}.timer"
        store.write(record["id"], record)
        if before:
            run_program(["systemctl", "stop", "--", before])

    def renew(self, record: Record, store: Store) -> None:
        if not self.is_present(record, store, {}):
            raise Refusal(f"somebody has started {record['target']['unit']!r}", "gone")
        self._set_timer(record, store)

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        unit = record["target"]["unit"]
        others = [
            other for other in store.active("stop", but=record["id"]) if other["target"]["unit"] == unit
        ]
        if not others:
            call_systemctl("start", "--no-block", "--", unit)
            deadline = time.monotonic() + END_SECONDS
            while show_unit(unit).get("ActiveState") == "inactive" and time.monotonic() < deadline:
                time.sleep(0.05)
        if record.get("timer"):
            run_program(["systemctl", "stop", "--", record["timer"]])

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del store, held
        states = {"inactive", "failed", "deactivating"}
        return show_unit(record["target"]["unit"]).get("ActiveState") in states


class Rules(Kind):
    """nftables: a chain and a set for each fault, in a table of this program. The set's elements expire."""

    words: tuple[str, ...] = ("to", "from", "port", "protocol")

    def explain(self, call: Call) -> str:
        del call
        if os.geteuid() != 0:
            return "nftables need root"
        try:
            ended = run_nft(f"add table inet {TABLE}\n", "--check")
        except Refusal as refusal:
            return refusal.reason
        if ended.returncode != 0:
            return f"this kernel takes no rules of nftables: {quote_end(ended.stderr)}"
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if not {"to", "from"} & set(arguments):
            raise Refusal("name an address with 'to' or 'from'")
        port = get_port(arguments, "port") if "port" in arguments else None
        protocol = arguments.get("protocol", "")
        if protocol not in {"", "tcp", "udp"}:
            raise Refusal(f"protocol={protocol!r} must be 'tcp' or 'udp'")
        ends = []
        for word, direction in (("to", "out"), ("from", "in")):
            if word not in arguments:
                continue
            text = get_text(arguments, word)
            address = None if text == "any" else parse_address(text)
            if address is None and port is None:
                raise Refusal(f"{word}='any' needs a 'port'")
            call.lifelines.check(direction, address, port)
            ends.append({"direction": direction, "address": str(address or ""), "port": port})
        target = {"table": call.store.find_table(), "ends": ends, "protocol": protocol}
        self.prepare(arguments, target)
        script = self.build_script(target, "check", 1.0)
        ended = run_nft(script, "--check")
        if ended.returncode != 0:
            raise Refusal(f"this kernel does not take the rule: {quote_end(ended.stderr)}")
        return target

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        """Add what this kind needs to the target."""

    def build_verdict(self, target: Json, end: Json) -> str:
        """What a rule does with the packets that it matches."""
        raise NotImplementedError

    def build_match(self, target: Json, end: Json, ports: str = "") -> str:
        """Which protocol and port a rule is for; `ports` is the set of them, where there is one."""
        protocol = target["protocol"]
        port = ports or end["port"]
        if not port:
            return f"meta l4proto {protocol}" if protocol else ""
        if protocol:
            return f"{protocol} dport {port}"
        return f"meta l4proto {{ tcp, udp }} th dport {port}"

    hooks = {"out": "type filter hook output priority -150", "in": "type filter hook input priority -150"}

    def build_script(self, target: Json, fault_id: str, lease: float) -> str:
        table = find_table(target)
        lines = [f"add table {table}"]
        for end in target["ends"]:
            name = name_chain(fault_id, end)
            key, element = build_element(end)
            side = "daddr" if end["direction"] == "out" else "saddr"
            match = {"ipv4_addr": f"ip {side}", "ipv6_addr": f"ip6 {side}"}.get(key, "")
            which = f"{match} @{name}" if match else ""
            ports = self.build_match(target, end, "" if match else f"@{name}")
            rule = f"{which} {ports} {self.build_verdict(target, end)}"
            lines += [
                f"add chain {table} {name} {{ {self.hooks[end['direction']]}; policy accept; }}",
                f"add set {table} {name} {{ type {key}; flags timeout; }}",
                # A guardian that was killed may have left them.
                f"flush chain {table} {name}",
                f"flush set {table} {name}",
                f"add element {table} {name} {{ {element} timeout {format_timeout(lease)} }}",
                f"add rule {table} {name} {rule}",
            ]
        return "\n".join(lines) + "\n"

    def apply(self, record: Record, store: Store) -> Json:
        del store
        left = record["until"] - now()
        if left <= 0:
            raise Refusal("the lease was over before the rule was added", "not_done")
        ended = run_nft(self.build_script(record["target"], record["id"], left))
        if ended.returncode != 0:
            raise Refusal(f"nft failed: {quote_end(ended.stderr)}", "not_done")
        return {"mechanism": "nftables"}

    def renew(self, record: Record, store: Store) -> None:
        del store
        table, lines = find_table(record["target"]), []
        for end in record["target"]["ends"]:
            name, (_, element) = name_chain(record["id"], end), build_element(end)
            timeout = format_timeout(record["until"] - now())
            # Kernels before 6.12 do not prolong an element that is there.
            lines.append(f"delete element {table} {name} {{ {element} }}")
            lines.append(f"add element {table} {name} {{ {element} timeout {timeout} }}")
        ended = run_nft("\n".join(lines) + "\n")
        if ended.returncode != 0:
            raise Refusal(f"the rule is gone: {quote_end(ended.stderr)}", "gone")

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        clean_table(store, record)

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del store, held
        table, ends = find_table(record["target"]), record["target"]["ends"]
        return any(has_element(table, name_chain(record["id"], end)) for end in ends)


def run_nft(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run_program(["nft", *options, "-f", "-"], script)


def find_table(target: Json) -> str:
    """The table that has the fault's chains; earlier versions had one for all."""
    return str(target.get("table", f"inet {TABLE}"))


def clean_table(store: Store, ended: Record) -> None:
    """Delete what belongs to no fault, what belonged to `ended` included, and the table if it is empty."""
    table = find_table(ended["target"])
    listed = run_program(["nft", "--json", "list", "table", *table.split()])
    if listed.returncode != 0:
        return
    parts = [part[kind] for part in json.loads(listed.stdout)["nftables"] for kind in part if kind == "chain"]
    names = {str(part["name"]) for part in parts}
    kept = {f"f_{hash_id(record['id'])}" for record in store.records() if is_in_table(record, store, ended)}
    unused = {name for name in names if name.rpartition("_")[0] not in kept}
    if unused == names:
        run_nft(f"delete table {table}\n")
    for name in sorted(unused if unused != names else ()):
        run_nft(f"delete chain {table} {name}\ndelete set {table} {name}\n")


def is_in_table(record: Record, store: Store, ended: Record) -> bool:
    """Whether the fault needs its chain: it is injected, or connections still go through its relay."""
    if record["id"] == ended["id"] or not isinstance(KINDS.get(record.get("kind", "")), Rules):
        return False
    guardian = store.read_guardian(record["id"]).get("guardian", (0, 0))
    return record["status"] == "active" or is_running(guardian)


def name_chain(fault_id: str, end: Json) -> str:
    return f"f_{hash_id(fault_id)}_{end['direction']}{end.get('number', '')}"


def build_element(end: Json) -> tuple[str, str]:
    """The type of the set, and its only element."""
    if not end["address"]:
        return "inet_service", str(end["port"])
    return ("ipv6_addr" if ":" in end["address"] else "ipv4_addr"), end["address"]


def format_timeout(seconds: float) -> str:
    return f"{max(1, math.ceil(seconds * 1000))}ms"


def has_element(table: str, name: str) -> bool:
    """Whether the set has its element; what has expired is not listed.

    Raises:
        Refusal: nft cannot be asked.
    """
    ended = run_program(["nft", "--json", "list", "set", *table.split(), name])
    if ended.returncode != 0:
        if "No such file" in ended.stderr:
            return False
        raise Refusal(f"nft failed: {quote_end(ended.stderr)}", "failed")
    return any(part.get("set", {}).get("elem") for part in json.loads(ended.stdout)["nftables"])


class Blackhole(Rules):
    """Packets vanish without a word."""

    def build_verdict(self, target: Json, end: Json) -> str:
        del target, end
        return "counter drop"


class Reset(Rules):
    """TCP packets are answered with RST."""

    words = ("to", "from", "port")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"

    def build_verdict(self, target: Json, end: Json) -> str:
        del target, end
        return "counter reject with tcp reset"


class Loss(Rules):
    """A share of the new connections: what is sent again from the same port is dropped again."""

    words = ("to", "from", "port", "share", "seed")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"
        target["share"] = get_number(arguments, "share", 0.001, 1.0)
        target["seed"] = get_whole(arguments, "seed", 0, 2**31, 0)

    def build_verdict(self, target: Json, end: Json) -> str:
        family = "ip6" if ":" in end["address"] else "ip"
        limit = round(target["share"] * 1000)
        chosen = f"jhash {family} saddr . tcp sport mod 1000 seed {target['seed']:#x} < {limit}"
        return f"tcp flags & (syn | ack) == syn {chosen if limit < 1000 else ''} counter drop"  # noqa: PLR2004


class Relay:
    """Passes TCP connections on to the place that they were meant for, slowly. Runs in a thread of its own.

    Connections outlive the fault: they go on at full speed until they end, or for LINGER_SECONDS.
    """

    def __init__(self, target: Json) -> None:
        self._target = target
        self._is_slow = True
        self._open = 0
        self._ready = threading.Event()
        self.port = 0

    def start(self) -> None:
        import asyncio  # noqa: PLC0415 - see above

        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        if not self._ready.wait(START_SECONDS / 2) or not self.port:
            raise Refusal("no port can be had for the relay", "not_done")

    def stop(self) -> None:
        self._is_slow = False

    def wait(self) -> None:
        deadline = time.monotonic() + LINGER_SECONDS
        time.sleep(TICK_SECONDS)  # the kernel may have made connections that were not accepted yet
        while self._open and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)

    async def _serve(self) -> None:
        import asyncio  # noqa: PLC0415 - see above

        host = "::1" if ":" in self._target["ends"][0]["address"] else "127.0.0.1"
        try:
            server = await asyncio.start_server(self._pass_on, host, 0)
            self.port = server.sockets[0].getsockname()[1]
        finally:
            self._ready.set()
        async with server:
            await server.serve_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import asyncio  # noqa: PLC0415 - see above

        self._open += 1
        try:
            answers, requests = await self._connect()
        except OSError:
            writer.transport.abort()
        else:
            up = asyncio.ensure_future(self._pump(reader, requests, is_slow=False))
            down = asyncio.ensure_future(self._pump(answers, writer, is_slow=True))
            await asyncio.gather(up, down, return_exceptions=True)
            for end in (writer, requests):
                end.close()
        finally:
            self._open -= 1

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        import asyncio  # noqa: PLC0415 - see above

        end = self._target["ends"][0]
        family = socket.AF_INET6 if ":" in end["address"] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)  # else it would be sent here again
            loop = asyncio.get_event_loop()
            place = (end["address"], end["port"])
            await asyncio.wait_for(loop.sock_connect(connection, place), START_SECONDS)
            return await asyncio.open_connection(sock=connection)
        except asyncio.TimeoutError as error:  # noqa: UP041 - Python 3.8
            connection.close()
            raise OSError("the target did not answer") from error
        except OSError:
            connection.close()
            raise

    async def _pump(self, reader: Any, writer: Any, *, is_slow: bool) -> None:
        """Pass on what comes, in its order, and at last its end."""
        import asyncio  # noqa: PLC0415 - see above

        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        sender = asyncio.ensure_future(self._send(queue, writer, is_slow=is_slow))
        try:
            data = b"x"
            while data:
                try:
                    data = await reader.read(16_384)
                except OSError:
                    writer.transport.abort()  # a reset is one for the other side, too
                    return
                delay = self._draw_delay() if is_slow else 0.0
                await queue.put((time.monotonic() + delay, data))
            await sender
        finally:
            sender.cancel()

    def _draw_delay(self) -> float:
        jitter = self._target.get("jitter", 0.0)
        delay = self._target.get("delay", 0.0) + random.uniform(-jitter, jitter)  # noqa: S311 - no secret
        return delay if self._is_slow else 0.0

    async def _send(self, queue: asyncio.Queue[tuple[float, bytes]], writer: Any, *, is_slow: bool) -> None:
        import asyncio  # noqa: PLC0415 - see above

        rate = self._target.get("rate", 0) if is_slow else 0
        while True:
            due, data = await queue.get()
            while self._is_slow and due > time.monotonic():  # noqa: ASYNC110 - another thread ends it
                await asyncio.sleep(min(TICK_SECONDS, due - time.monotonic()))
            if not data:
                writer.write_eof()
                return
            step = max(1, int(rate * TICK_SECONDS)) if rate else len(data)
            for start in range(0, len(data), step):
                part = data[start : start + step]
                writer.write(part)
                await writer.drain()
                if rate and self._is_slow:
                    await asyncio.sleep(len(part) / rate)


class Redirect(Rules):
    """New TCP connections to a place lead into a relay of the guardian, whose own connections have a mark."""

    is_guarded = True
    dies_with_guardian = True
    lingers = True
    hooks = {"out": "type nat hook output priority -110"}
    _relay: Relay | None = None

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        get_port(arguments, "port")
        if get_text(arguments, "to") == "any":
            raise Refusal("to='any' is not possible here; name the address")
        target = super().check(arguments, call)
        check_redirects(target, call.store.active("latency", "bandwidth"))
        return target

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"

    def build_verdict(self, target: Json, end: Json) -> str:
        return f"meta mark != {MARK:#x} counter redirect to :{end.get('relay', 1)}"

    def apply(self, record: Record, store: Store) -> Json:
        self._relay = Relay(record["target"])
        self._relay.start()
        ends = [{**end, "relay": self._relay.port} for end in record["target"]["ends"]]
        super().apply({**record, "target": {**record["target"], "ends": ends}}, store)
        return {"mechanism": "nftables and a relay", "relay": self._relay.port}

    def undo(self, record: Record, store: Store, held: Json) -> None:
        if self._relay is None:
            super().undo(record, store, held)
            return
        self._relay.stop()
        # Without a chain of NAT, the kernel would not translate packets of established connections either.
        table = find_table(record["target"])
        for end in record["target"]["ends"]:
            run_nft(f"flush set {table} {name_chain(record['id'], end)}\n")

    def linger(self, record: Record, store: Store) -> None:
        if self._relay is not None:
            self._relay.wait()
        with store.lock():
            clean_table(store, record)


def check_redirects(target: Json, others: Sequence[Record]) -> None:
    """Raises Refusal: the kernel would follow only the first redirect of a place."""
    places = [(end["address"], end["port"]) for end in target["ends"]]
    for other in others:
        for end in other["target"]["ends"]:
            if (end["address"], end["port"]) in places:
                raise Refusal(
                    f"{end['address']!r}, port {end['port']}, is redirected by the fault {other['id']!r} "
                    f"({other['kind']}) already; remove that one first"
                )


class Latency(Redirect):
    words = ("to", "port", "delay", "jitter")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        super().prepare(arguments, target)
        target["delay"] = get_number(arguments, "delay", 0.001, 3600.0)
        target["jitter"] = get_number(arguments, "jitter", 0.0, target["delay"], 0.0)


class Bandwidth(Redirect):
    words = ("to", "port", "rate")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        super().prepare(arguments, target)
        target["rate"] = get_number(arguments, "rate", 1, 1 << 40)


class Resolver:
    """Answers queries for some names, and passes others on to the name server. A thread of its own."""

    def __init__(self, target: Json) -> None:
        self._target = target
        self._servers: dict[socket.socket, str] = {}
        self._asked: dict[socket.socket, tuple[socket.socket, Any, float]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def start(self) -> list[int]:
        """The ports, in the order of the name servers."""
        ports = []
        for end in self._target["ends"]:
            is_v6 = ":" in end["address"]
            server = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("::1" if is_v6 else "127.0.0.1", 0))
            server.setblocking(False)
            self._servers[server] = end["address"]
            ports.append(int(server.getsockname()[1]))
        threading.Thread(target=self._run, daemon=True).start()
        return ports

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select(
                [*self._servers, *self._asked], [], [], 0.02 if self._later else 1.0
            )
            for one in readable:
                with contextlib.suppress(OSError):
                    if one in self._servers:
                        self._take_query(one)
                    else:
                        self._take_answer(one)
            while self._later and self._later[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    heapq.heappop(self._later)[2]()
            for one in [one for one, entry in self._asked.items() if entry[2] < time.monotonic()]:
                self._asked.pop(one)
                one.close()

    def _take_query(self, server: socket.socket) -> None:
        data, client = server.recvfrom(4096)
        name = read_query_name(data)
        if name is None or not any(fnmatch.fnmatchcase(name, one) for one in self._target["names"]):
            self._pass_on(server, data, client)
            return
        answer = build_dns_answer(data, self._target["answer"])

        def act() -> None:
            if answer is None:
                self._pass_on(server, data, client)
            else:
                server.sendto(answer, client)

        self._number += 1
        if len(self._later) < MAX_QUERIES:
            heapq.heappush(self._later, (time.monotonic() + self._target["delay"], self._number, act))

    def _pass_on(self, server: socket.socket, data: bytes, client: Any) -> None:
        if len(self._asked) >= MAX_QUERIES:
            return
        asked = socket.socket(server.family, socket.SOCK_DGRAM)
        asked.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)  # else it would be sent here again
        self._asked[asked] = (server, client, time.monotonic() + 10.0)
        asked.sendto(data, (self._servers[server], DNS_PORT))

    def _take_answer(self, asked: socket.socket) -> None:
        server, client, _ = self._asked.pop(asked)
        try:
            server.sendto(asked.recv(65_535), client)
        finally:
            asked.close()


def read_query_name(data: bytes) -> str | None:
    """The name that a query is for, in lower case; None of what is not a query (RFC 1035, 4.1)."""
    if len(data) < 17 or data[2] & 0x80 or data[4:6] != b"\0\1":  # noqa: PLR2004
        return None
    labels, place = [], 12
    while place < len(data) and data[place]:
        length = data[place]
        if length > 63:  # noqa: PLR2004 - a label, or a pointer, which a question has not
            return None
        labels.append(data[place + 1 : place + 1 + length].decode("latin-1").lower())
        place += 1 + length
    return ".".join(labels) if place + 5 <= len(data) else None


def build_dns_answer(query: bytes, answer: str) -> bytes | None:
    """What is answered instead; None where the true answer is only late."""
    if not answer:
        return None
    end = query.index(b"\0", 12) + 5
    kind = int.from_bytes(query[end - 4 : end - 2], "big")
    code = {"servfail": 2, "nxdomain": 3}.get(answer, 0)
    flags = 0x8080 | (query[2] & 1) << 8 | code
    record = b""
    if code == 0:
        address = ipaddress.ip_address(answer)
        if kind == (1 if address.version == 4 else 28):  # noqa: PLR2004 - A and AAAA
            packed = address.packed
            # The name is that of the question, the class IN, and nobody keeps it.
            record = b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1\0\0\0\0" + len(packed).to_bytes(2, "big")
            record += packed
    counts = b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0"
    return query[:2] + flags.to_bytes(2, "big") + counts + query[12:end] + record


class Dns(Rules):
    """Queries over UDP to the name servers of this host lead to a resolver in the guardian."""

    is_guarded = True
    dies_with_guardian = True
    words = ("names", "answer", "delay")
    hooks = {"out": "type nat hook output priority -110"}

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        names = arguments.get("names", ["*"])
        if not isinstance(names, list) or not all(isinstance(one, str) and one for one in names):
            raise Refusal(
                f"names={names!r} must be a list of names, such as 'db.example.com' or '*.example.com'"
            )
        answer = arguments.get("answer", "")
        if answer not in {"", "servfail", "nxdomain"}:
            answer = str(parse_address(get_text(arguments, "answer")))
        delay = get_number(arguments, "delay", 0.0, 60.0, 0.0)
        if not answer and not delay:
            raise Refusal("the fault has no effect: give 'answer' or 'delay'")
        servers = find_name_servers()
        if not servers:
            raise Refusal("this host has no name server")
        ends = [
            {"direction": "out", "address": server, "port": DNS_PORT, "number": number}
            for number, server in enumerate(servers)
        ]
        lowered = [name.lower().rstrip(".") for name in names]
        target: Json = {"table": call.store.find_table(), "ends": ends, "protocol": "udp"}
        target.update(names=lowered, answer=answer, delay=delay)
        check_redirects(target, call.store.active("dns"))
        ended = run_nft(self.build_script(target, "check", 1.0), "--check")
        if ended.returncode != 0:
            raise Refusal(f"this kernel does not take the rule: {quote_end(ended.stderr)}")
        return target

    def build_verdict(self, target: Json, end: Json) -> str:
        return f"meta mark != {MARK:#x} counter redirect to :{end.get('relay', 1)}"

    def apply(self, record: Record, store: Store) -> Json:
        ports = Resolver(record["target"]).start()
        ends = [{**end, "relay": port} for end, port in zip(record["target"]["ends"], ports)]  # noqa: B905 - Python 3.8
        super().apply({**record, "target": {**record["target"], "ends": ends}}, store)
        servers = [end["address"] for end in ends]
        forget_flows(servers, is_redirected=False)  # a client that keeps its socket is redirected, too
        return {"mechanism": "nftables and a resolver", "servers": servers}

    def undo(self, record: Record, store: Store, held: Json) -> None:
        super().undo(record, store, held)
        forget_flows([end["address"] for end in record["target"]["ends"]], is_redirected=True)


def forget_flows(servers: Sequence[str], *, is_redirected: bool) -> None:
    """Delete what the kernel remembers of queries to these servers, if it can be asked.

    It decides about the first packet of a flow whether it is redirected, and does the same with later ones,
    rule or no rule: they would be sent to a resolver that has ended.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            forget_flows_of_family(family, servers, is_redirected=is_redirected)


def forget_flows_of_family(family: int, servers: Sequence[str], *, is_redirected: bool) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.settimeout(END_SECONDS)
        kernel.send(build_flow_request(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, family))
        for flow in read_flows(kernel):
            if flow.is_redirected == is_redirected and is_query(flow, servers):
                flags = NLM_F_REQUEST | NLM_F_ACK
                kernel.send(build_flow_request(CT_DELETE, flags, family, flow.original))
                kernel.recv(MAX_REQUEST)


class Flow(NamedTuple):
    """A flow that the kernel's connection tracking knows. `original` is the attribute CTA_TUPLE_ORIG."""

    original: bytes
    is_redirected: bool


def build_flow_request(kind: int, flags: int, family: int, attributes: bytes = b"") -> bytes:
    """A message for the kernel's connection tracking (linux/netfilter/nfnetlink_conntrack.h)."""
    header = struct.pack("=IHHII", 20 + len(attributes), CT_SUBSYSTEM << 8 | kind, flags, 1, 0)
    return header + struct.pack("=BBH", family, 0, 0) + attributes


def read_flows(kernel: socket.socket) -> list[Flow]:
    """The flows that the kernel lists, until it says that these were all."""
    found: list[Flow] = []
    while True:
        data = kernel.recv(MAX_REQUEST)
        while len(data) >= NLMSG_HEADER:
            length, kind = struct.unpack_from("=IH", data)
            if kind in {NLMSG_ERROR, NLMSG_DONE} or length < NLMSG_HEADER:
                return found
            attributes = read_attributes(data[20:length])
            status = int.from_bytes(attributes.get(CTA_STATUS, b"")[4:8], "big")
            found.append(Flow(attributes.get(CTA_TUPLE_ORIG, b""), bool(status & IPS_DST_NAT)))
            data = data[align(length) :]


def is_query(flow: Flow, servers: Sequence[str]) -> bool:
    tuple_of_flow = read_attributes(flow.original[4:])
    addresses = read_attributes(tuple_of_flow.get(CTA_TUPLE_IP, b"")[4:])
    protocol = read_attributes(tuple_of_flow.get(CTA_TUPLE_PROTO, b"")[4:])
    address = addresses.get(CTA_IP_V4_DST) or addresses.get(CTA_IP_V6_DST) or b""
    if len(address) not in {8, 20} or str(ipaddress.ip_address(address[4:])) not in servers:
        return False
    is_udp = protocol.get(CTA_PROTO_NUM, b"")[4:5] == bytes([socket.IPPROTO_UDP])
    return is_udp and protocol.get(CTA_PROTO_DST_PORT, b"")[4:6] == DNS_PORT.to_bytes(2, "big")


def read_attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by their kind, each with its header of four bytes."""
    found = {}
    while len(data) >= NLA_HEADER:
        length, kind = struct.unpack_from("=HH", data)
        if length < NLA_HEADER:
            break
        found[kind & 0x3FFF] = data[:length]
        data = data[align(length) :]
    return found


def align(length: int) -> int:
    return length + 3 & ~3


def find_name_servers() -> list[str]:
    """Those that programs ask, and those that systemd-resolved asks for programs that ask it otherwise."""
    found = []
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        for word in re.findall(r"^nameserver[ \t]+(\S+)", read_text(path), re.MULTILINE):
            with contextlib.suppress(Refusal):
                found.append(str(parse_address(word)))
    return list(dict.fromkeys(found))[:MAX_NAME_SERVERS]


class Load(Kind):
    """stress-ng, with a timeout of its own; started again by the guardian while the fault is renewed."""

    is_guarded = True

    def explain(self, call: Call) -> str:
        del call
        if not look_for_program("stress-ng"):
            return "'stress-ng' is not installed on this host"
        return ""

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        raise NotImplementedError

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if reason := self.explain(call):
            raise Refusal(reason)
        return {"options": self.build_options(arguments), "program": look_for_program("stress-ng")}

    def apply(self, record: Record, store: Store) -> Json:
        del store
        left = record["until"] - now()
        if left <= 0:
            raise Refusal("the lease was over before the load began", "not_done")
        command = [record["target"]["program"], *record["target"]["options"]]
        command += ["--quiet", "--timeout", f"{max(1, math.ceil(left))}s"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": SYSTEM_PATH},
            start_new_session=True,
        )
        return {"child": identify(child.pid), "mechanism": "stress-ng"}

    def keep(self, record: Record, held: Json) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(held["child"][0], os.WNOHANG)
        if not is_running(held["child"]):
            held.update(self.apply(record, Store("")))

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del store
        end_group(held.get("child"))

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del record, store
        return "child" in held and is_running(held["child"])


def identify(pid: int) -> Process:
    return pid, read_process(pid)[2]


def end_group(process: Sequence[int] | None) -> None:
    """End the process and those of its group, which it leads."""
    if process is None or not is_running(process):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process[0], signal.SIGTERM)
    if not wait_for_end(process, END_SECONDS):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process[0], signal.SIGKILL)
        wait_for_end(process, 1.0)


def wait_for_end(process: Sequence[int], seconds: float, is_over: Callable[[], bool] = lambda: False) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(process) and not is_over():
        if time.monotonic() > deadline:
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process[0], os.WNOHANG)
        time.sleep(0.01)
    return True


class Cpu(Load):
    words = ("load", "cores")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        cores = get_whole(arguments, "cores", 1, 4096, os.cpu_count() or 1)
        share = get_number(arguments, "load", 0.01, 1.0, 1.0)
        return ["--cpu", str(cores), "--cpu-load", str(round(share * 100))]


class Memory(Load):
    words = ("size", "share")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        figures = read_memory()
        if "size" in arguments:
            size = get_whole(arguments, "size", 1 << 20, 1 << 50)
        else:
            share = get_number(arguments, "share", 0.01, 0.98)
            size = int(share * figures["MemTotal"]) - (figures["MemTotal"] - figures["MemAvailable"])
        if size < 1 << 20:
            raise Refusal("so much memory is used already")
        if size > figures["MemAvailable"] * 0.98:
            raise Refusal(f"{size} bytes are more than is free: {figures['MemAvailable']}")
        return ["--vm", "1", "--vm-bytes", str(size), "--vm-keep", "--vm-hang", "0"]


def read_memory() -> dict[str, int]:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.findall(r"^(MemTotal|MemAvailable): +([0-9]+) kB$", file.read(), re.MULTILINE)
    return {name: int(figure) * 1024 for name, figure in found}


class Io(Load):
    """Workers that write files, and wait until the disk has them."""

    words = ("workers", "path")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        workers = get_whole(arguments, "workers", 1, 64, 1)
        path = get_directory(arguments, "/var/tmp")  # noqa: S108 - stress-ng makes a directory of its own there
        return ["--hdd", str(workers), "--hdd-bytes", "16m", "--hdd-opts", "fsync", "--temp-path", path]


def get_directory(arguments: Mapping[str, Any], default: str | None = None) -> str:
    path = get_text({"path": default, **arguments} if default else arguments, "path")
    if not path.startswith("/") or not os.path.isdir(path):
        raise Refusal(f"path={path!r} is not a directory of this host")
    if os.path.realpath(path) != os.path.normpath(path):
        raise Refusal(f"path={path!r} leads elsewhere: name {os.path.realpath(path)!r}")
    if not os.access(path, os.W_OK | os.X_OK):
        raise Refusal(f"path={path!r} may not be written to")
    return path


class Disk(Kind):
    """A file that fills the disk. It has no name any more once it is open: whatever dies, the space is free.

    While the fault lasts it is `/proc/PID/fd/N` of the guardian, and `lsof +L1` shows it.
    """

    is_guarded = True
    dies_with_guardian = True
    words = ("path", "share")
    _open: dict[str, int] = {}

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        path = get_directory(arguments)
        share = get_number(arguments, "share", 0.01, 1.0, 1.0)
        if not count_bytes_to_fill(path, share, call.store):
            raise Refusal(f"the disk of {path!r} is as full as that already")
        return {"path": path, "share": share}

    def apply(self, record: Record, store: Store) -> Json:
        target = record["target"]
        name = os.path.join(target["path"], f"test-coordinator-{hash_id(record['id'])}.fill")
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.unlink(name)
        self._open[record["id"]] = descriptor
        size = count_bytes_to_fill(target["path"], target["share"], store)
        filled, step = 0, 256 << 20
        deadline = time.monotonic() + START_SECONDS / 2
        while filled < size and step >= 4096 and time.monotonic() < deadline:  # noqa: PLR2004 - a block
            length = min(step, size - filled)
            try:
                os.posix_fallocate(descriptor, filled, length)
                filled += length
            except OSError:  # full sooner than it was said: the file system keeps blocks for itself
                step //= 2
        return {"bytes": filled, "mechanism": "fallocate"}

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del store, held
        descriptor = self._open.pop(record["id"], None)
        if descriptor is not None:
            os.close(descriptor)

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del record, store
        return "guardian" in held and is_running(held["guardian"])


def count_bytes_to_fill(path: str, share: float, store: Store) -> int:
    """Bytes until this share of the disk is used; where the state is on it, STATE_BYTES stay free."""
    found = os.statvfs(path)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    wanted = int(found.f_blocks * found.f_frsize * share) - used
    has_state = os.stat(path).st_dev == os.stat(store.directory).st_dev
    return max(0, min(wanted, found.f_bavail * found.f_frsize - (STATE_BYTES if has_state else 0)))


KINDS: dict[str, Kind] = {
    "pause": Pause(),
    "kill": Kill(),
    "restart": Restart(),
    "stop": Stop(),
    "blackhole": Blackhole(),
    "reset": Reset(),
    "loss": Loss(),
    "latency": Latency(),
    "bandwidth": Bandwidth(),
    "dns": Dns(),
    "cpu": Cpu(),
    "memory": Memory(),
    "io": Io(),
    "disk": Disk(),
}


# The guardian


def start_guardian(record: Record, store: Store) -> Json:
    """Start it, and wait until it has injected the fault. Returns what it did.

    Raises:
        Refusal: it did not, and the fault is not there.
    """
    store.forget(record["id"], "guardian")
    command = [
        sys.executable,
        "-I",
        store.install_program(),
        "--state",
        store.directory,
        "guard",
        record["id"],
    ]
    if can_start_units():
        # A unit of its own: it is not ended with the unit that asked, and systemd starts it again.
        unit = f"--unit=test-coordinator-guardian-{hash_id(record['id'])}-{int(now() * 1000)}"
        # However often it is killed: by default, systemd gives up after five times.
        properties = ["Restart=on-failure", "RestartSec=100ms", "StartLimitIntervalSec=0"]
        properties.append("OOMScoreAdjust=-900")
        options = [word for one in properties for word in ("--property", one)]
        ended = run_program(["systemd-run", "--quiet", "--collect", unit, *options, "--", *command])
        if ended.returncode != 0:
            raise Refusal(f"systemd does not start the guardian: {quote_end(ended.stderr)}", "not_done")
    else:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        held = store.read_guardian(record["id"])
        if "error" in held:
            raise Refusal(str(held["error"]), "not_done")
        if "done" in held:
            return dict(held["done"])
        time.sleep(0.01)
    end_guardian(record, store)
    raise Refusal(f"the guardian did not begin within {START_SECONDS:g} s", "not_done")


def end_guardian(record: Record, store: Store) -> None:
    """End the fault and its guardian. Call with the lock, and after the record says that it has ended."""
    held = store.read_guardian(record["id"])
    guardian = held.get("guardian")
    if guardian and is_running(guardian):
        send_signal(guardian, signal.SIGTERM)
        if wait_for_end(guardian, END_SECONDS, lambda: "over" in store.read_guardian(record["id"])):
            if is_running(guardian):
                return  # connections still go through its relay
        else:
            send_signal(guardian, signal.SIGKILL)
            wait_for_end(guardian, END_SECONDS)
    # It has done this itself, unless it was killed.
    KINDS[record["kind"]].undo(record, store, held)


class Guardian:
    """Injects one fault, and ends it when its lease is over, when it is removed, or when told to stop."""

    def __init__(self, store: Store, fault_id: str) -> None:
        self._store = store
        self._id = fault_id
        self._is_stopped = False
        self._wake = os.pipe()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        before = self._store.read_guardian(self._id)
        held = {**before, "guardian": identify(os.getpid())}
        # First this, then a look at the record: a removal does the two the other way round.
        self._store.write(self._id, held, "guardian")
        record = self._store.read(self._id)
        if record is None or record["status"] != "active" or record["boot"] != boot_id():
            return
        protect_from_oom()
        kind = KINDS[record["kind"]]
        try:
            if "done" not in before or kind.dies_with_guardian:
                held["done"] = kind.apply(record, self._store)
                held.update(held["done"])
                self._store.write(self._id, held, "guardian")
            self._wait(kind, record, held)
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault must end
            held["error"] = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        finally:
            self._end(kind, record, held)

    def _stop(self, *_: object) -> None:
        self._is_stopped = True
        os.write(self._wake[1], b"x")

    def _find_record(self) -> Record | None:
        """The fault, if it shall go on."""
        record = self._store.read(self._id)
        if record is None or record["status"] != "active" or record["until"] <= now() or self._is_stopped:
            return None
        return record

    def _wait(self, kind: Kind, record: Record | None, held: Json) -> None:
        while True:
            record = self._find_record()
            if record is None:
                with self._locked():  # a renewal may be going on
                    record = self._find_record()
                    if record is None:
                        return
            child = held.get("child")
            kind.keep(record, held)
            if held.get("child") != child:
                self._store.write(self._id, held, "guardian")
            left = record["until"] - now()
            select.select([self._wake[0]], [], [], max(0.0, min(TICK_SECONDS, left)))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock, unless another call keeps it: the fault must not outlive its lease because of that.

        The call that stops the guardian has the lock, and waits.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(Refusal):
                stack.enter_context(self._store.lock(GUARDIAN_LOCK_SECONDS, lambda: self._is_stopped))
            yield

    def _end(self, kind: Kind, record: Record, held: Json) -> None:
        with self._locked():
            held["is_ending"] = True  # a renewal that has the lock looks at this once it is written
            if "error" not in held:
                self._write(held)
            try:
                kind.undo(record, self._store, held)
            finally:
                if "error" in held:  # only now: the fault itself may have filled the disk
                    self._write(held)
            current = self._store.read(self._id)
            if current is not None and current["status"] == "active":
                with contextlib.suppress(Refusal):  # the disk is full: the next call sweeps
                    self._store.write(self._id, {**current, "status": "ended", "ended_at": now()})
        if kind.lingers:
            self._write({**held, "over": True})
            kind.linger(record, self._store)

    def _write(self, held: Json) -> None:
        with contextlib.suppress(Refusal):  # the disk is full
            self._store.write(self._id, held, "guardian")


def protect_from_oom() -> None:
    with contextlib.suppress(OSError):  # root alone may
        write_text("/proc/self/oom_score_adj", "-900")


# Requests


class Program:
    """Answers requests."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        self._policy = policy
        self._began = now()

    def answer(self, request: Mapping[str, Any]) -> Json:
        """The answer to one request.

        Raises:
            Refusal: it is not carried out.
        """
        self._began = now()
        actions = {
            "inject": self._inject,
            "renew": self._renew,
            "remove": self._remove,
            "is_present": self._is_present,
            "sweep": self._answer_sweep,
            "describe": self._describe,
        }
        action = request.get("do")
        if not isinstance(action, str) or action not in actions:
            raise Refusal(f"unknown request {action!r}; choose one of {', '.join(actions)}")
        self._store.open()
        with self._store.lock():
            self._sweep()
            return actions[action](request)

    def _inject(self, request: Mapping[str, Any]) -> Json:
        fault_id, lease = get_id(request), get_lease(request)
        before = self._store.read(fault_id)
        if before is not None and before["boot"] == boot_id():
            return self._inject_again(before, lease)
        kind_name, kind, arguments = self._get_kind(request)
        self._policy.read()
        call = Call(self._store, self._policy, request)
        target = self._check(kind_name, kind, arguments, call)
        until = self._find_end(lease)
        record: Record = {
            "id": fault_id,
            "kind": kind_name,
            "arguments": dict(arguments),
            "target": target,
            "status": "active",
            "boot": boot_id(),
            "lease": lease,
            "injected_at": now(),
            "until": until,
        }
        self._store.write(fault_id, record)
        try:
            done = start_guardian(record, self._store) if kind.is_guarded else kind.apply(record, self._store)
        except BaseException:
            self._end(record, "ended")
            raise
        if not kind.is_leased:
            self._store.write(fault_id, {**record, "status": "done", "ended_at": now(), "done": done})
        return {"done": done, "target": target, "seconds_left": max(0.0, record["until"] - now())}

    def _find_end(self, lease: float) -> float:
        """When the lease is over. It begins with the call, whose sender may be gone once it has the lock.

        Raises:
            Refusal: it is over.
        """
        until = self._began + lease
        if until <= now():
            raise Refusal(f"the call waited longer than its lease of {lease:g} s", "not_done")
        return until

    def _inject_again(self, record: Record, lease: float) -> Json:
        if record["status"] == "active":
            self._prolong(record, lease)
            return {"done": {"note": "it was injected before"}, "target": record["target"]}
        if record["status"] == "done":
            return {"done": record["done"], "target": record["target"]}
        raise Refusal(
            f"the fault {record['id']!r} has been removed, or has ended: it is not injected again", "not_done"
        )

    def _check(self, name: str, kind: Kind, arguments: Mapping[str, Any], call: Call) -> Json:
        self._policy.check(name, arguments)
        check_words(arguments, name, kind.words)
        if reason := kind.explain(call):
            raise Refusal(f"{name!r} cannot be injected here: {reason}")
        return kind.check(arguments, call)

    def _renew(self, request: Mapping[str, Any]) -> Json:
        fault_id, lease = get_id(request), get_lease(request)
        record = self._store.read(fault_id)
        if record is None or record["status"] in {"removed", "ended"}:
            raise Refusal(f"this host does not have the fault {fault_id!r}", "gone")
        if record["status"] == "active":
            self._prolong(record, lease)
        return {"seconds_left": max(0.0, self._began + lease - now())}

    def _prolong(self, record: Record, lease: float) -> None:
        kind = KINDS[record["kind"]]
        held = self._store.read_guardian(record["id"])
        if kind.is_guarded and not self._has_guardian(record, held):
            self._end(record, "ended")
            raise Refusal("its guardian has been killed", "gone")
        record["until"] = self._find_end(lease)
        try:
            kind.renew(record, self._store)
        except Refusal as refusal:
            if refusal.code == "gone":
                self._end(record, "ended")
            raise
        self._store.write(record["id"], record)
        if "is_ending" in self._store.read_guardian(record["id"]):  # it did not wait for this call
            self._end(record, "ended")
            raise Refusal("the lease was over before the renewal", "gone")

    def _has_guardian(self, record: Record, held: Json) -> bool:
        deadline = time.monotonic() + END_SECONDS
        while not is_running(held.get("guardian", (0, 0))):
            # Systemd needs a moment to start it again.
            if time.monotonic() > deadline or not can_start_units():
                return False
            time.sleep(0.05)
            held = self._store.read_guardian(record["id"])
        return True

    def _remove(self, request: Mapping[str, Any]) -> Json:
        fault_id = get_id(request)
        record = self._store.read(fault_id)
        if record is None or record["boot"] != boot_id():
            unknown = {"id": fault_id, "status": "removed", "boot": boot_id(), "ended_at": now()}
            with contextlib.suppress(Refusal):  # a full disk: then a late injection ends with its lease
                self._store.write(fault_id, unknown)
            return {"was_there": False}
        if record["status"] == "done":
            return {"was_there": False, "note": f"{record['kind']!r} has nothing to undo"}
        was_there = record["status"] == "active"
        if was_there or self._is_there(record):
            self._end(record, "removed")
        return {"was_there": was_there}

    def _end(self, record: Record, status: str) -> None:
        """End the fault, whether or not that can be written down."""
        kind = KINDS[record["kind"]]
        with contextlib.suppress(Refusal):
            self._store.write(record["id"], {**record, "status": status, "ended_at": now()})
        if kind.is_guarded:
            end_guardian(record, self._store)
        else:
            kind.undo(record, self._store, {})

    def _is_present(self, request: Mapping[str, Any]) -> Json:
        record = self._store.read(get_id(request))
        is_known = record is not None and "kind" in record and record["boot"] == boot_id()
        return {"present": bool(record is not None and is_known and self._is_there(record))}

    def _is_there(self, record: Record) -> bool:
        if "kind" not in record:
            return False
        held = self._store.read_guardian(record["id"])
        return KINDS[record["kind"]].is_present(record, self._store, held)

    def _sweep(self) -> list[str]:
        """End what should have ended, and forget what ended long ago."""
        swept = []
        records = self._store.records()
        for record in records:
            is_over = record.get("until", 0.0) <= now() or record["boot"] != boot_id()
            if record["status"] == "active" and is_over:
                if record["boot"] == boot_id():
                    with contextlib.suppress(Refusal):  # one that fails must not keep the others
                        self._end(record, "ended")
                        swept.append(record["id"])
                else:
                    self._store.forget(record["id"])
        ended = sorted((r for r in records if "ended_at" in r), key=lambda record: record["ended_at"])
        for place, record in enumerate(ended):
            age = now() - record["ended_at"]
            if not 0 <= age < KEPT_SECONDS or place < len(ended) - MAX_KEPT:
                self._store.forget(record["id"])
                self._store.forget(record["id"], "guardian")
        return swept

    def _answer_sweep(self, request: Mapping[str, Any]) -> Json:
        del request
        active = [r["id"] for r in self._store.records() if r["status"] == "active"]
        return {"active": sorted(active)}

    def _describe(self, request: Mapping[str, Any]) -> Json:
        """Which kinds can be injected here, each with '' or the reason; with a kind also its target."""
        self._policy.read()
        call = Call(self._store, self._policy, request)
        reasons = {
            name: self._policy.explain_kind(name) or kind.explain(call) for name, kind in KINDS.items()
        }
        found: Json = {
            "kinds": reasons,
            "host": os.uname().nodename,
            "kernel": os.uname().release,
            "python": ".".join(map(str, sys.version_info[:3])),
            "systemd": not explain_no_systemd(),
            "active": len([r for r in self._store.records() if r["status"] == "active"]),
        }
        if "kind" in request:
            name, kind, arguments = self._get_kind(request)
            found["target"] = self._check(name, kind, arguments, call)
        return found

    def _get_kind(self, request: Mapping[str, Any]) -> tuple[str, Kind, Mapping[str, Any]]:
        name, arguments = request.get("kind"), request.get("arguments", {})
        if not isinstance(name, str) or name not in KINDS:
            raise Refusal(f"unknown kind {name!r}; choose one of {', '.join(KINDS)}")
        if not isinstance(arguments, dict):
            raise Refusal(f"arguments={arguments!r} must be an object")
        return name, KINDS[name], arguments


def get_id(request: Mapping[str, Any]) -> str:
    fault_id = request.get("id")
    if not isinstance(fault_id, str) or not re.fullmatch(r"[A-Za-z0-9._:/-]{1,128}", fault_id):
        raise Refusal(f"id={fault_id!r} is not an id; use letters, digits and . _ : / -")
    return fault_id


def get_lease(request: Mapping[str, Any]) -> float:
    return get_number(request, "lease", MIN_LEASE, MAX_LEASE)


def choose_directory() -> str:
    """Where faults are remembered until the machine restarts."""
    if os.geteuid() == 0:
        return STATE
    for directory in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
        if directory.startswith("/") and os.access(directory, os.W_OK):
            return os.path.join(directory, "test-coordinator")
    return f"/tmp/test-coordinator-{os.geteuid()}"  # noqa: S108 - its owner is checked


def parse_request(text: str) -> Mapping[str, Any]:
    """The request: an object, or the last line of what the coordinator streams.

    Raises:
        Refusal: it is neither.
    """
    lines = text.strip().splitlines()
    if lines and lines[-1].startswith(REQUEST_MARK):
        text = lines[-1][len(REQUEST_MARK) :]
    if len(text) > MAX_REQUEST:
        raise Refusal(f"a request has at most {MAX_REQUEST} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal("the request is not JSON") from error
    if not isinstance(found, dict):
        raise Refusal("the request must be a JSON object")
    return found


def main(words: Sequence[str] | None = None, streamed: str | None = None) -> int:
    """Answer the request on standard input. The exit code is 0 wherever an answer was written."""
    parser = argparse.ArgumentParser(prog="host_program", description="Injects faults into this machine.")
    parser.add_argument("--state", default=choose_directory(), metavar="DIRECTORY")
    parser.add_argument("--allow-list", default=ALLOW_LIST, metavar="FILE")
    parser.add_argument("--allowed", metavar="KINDS", help="without a list: kinds, with commas")
    parser.add_argument("guard", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    store = Store(options.state)
    if options.guard:
        Guardian(store, options.guard[-1]).run()
        return 0
    kinds = None if options.allowed is None else [kind for kind in options.allowed.split(",") if kind]
    try:
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if streamed is None else streamed
        answer = {"ok": True, **Program(store, Policy(options.allow_list, kinds)).answer(parse_request(text))}
    except Refusal as refusal:
        answer = {"ok": False, "code": refusal.code, "reason": refusal.reason}
    except Exception as error:  # noqa: BLE001 - the caller reads one answer, whatever happens
        answer = {"ok": False, "code": "failed", "reason": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
