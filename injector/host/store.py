"""The faults of this machine, as files, and the clock of their leases."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
import time
from typing import Any, Callable, Iterator, Mapping

from injector.host.arguments import Json, Record, Refusal
from injector.host.compiled import name_compiled, read_compiled, write_compiled

LOCK_SECONDS = 20.0
# Each state directory has a table of its own: another one in this network namespace may belong to anybody.
TABLE = "test_coordinator"
# A streamed program finds its own text here; a program of a checkout finds what builds it.
SOURCE: object = globals().get("SOURCE", "")
# A record with another kind is damaged, or was written by another version.
KIND_NAMES = (
    "pause",
    "kill",
    "restart",
    "stop",
    "blackhole",
    "reset",
    "loss",
    "latency",
    "bandwidth",
    "dns",
    "cpu",
    "memory",
    "io",
    "disk",
    "container",
)


def now() -> float:
    """Seconds since the machine was started, including sleep. Nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def hash_id(fault_id: str) -> str:
    """A name for files, chains and units, because an id may have any character."""
    return hashlib.sha256(fault_id.encode()).hexdigest()[:24]


class Store:
    """The faults of this machine, one file each, in a directory of the user who runs this program."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def open(self) -> None:
        """Create the directory.

        Raises:
            Refusal: it cannot be created, or others may write there.
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
            Refusal: another call takes longer than that, or `gives_up` returns true.
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
        """The fault; None if it is unknown, or its file cannot be read."""
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
        """All faults that are remembered, including those that have ended."""
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

    def holding(self, kind: str, but: str) -> list[Record]:
        """The same for those whose lease is not over: an undo leaves to them what they have, too.

        A record may say "active" for longer, because a full disk kept its end from being written.
        """
        return [record for record in self.active(kind, but=but) if record["until"] > now()]

    def end(self, record: Mapping[str, Any], status: str) -> None:
        """Record that the fault has ended; where the disk is too full for that, forget it."""
        ended = {**record, "status": status, "ended_at": now()}
        try:
            self.write(record["id"], ended)
        except Refusal:
            self.forget(record["id"])
            with contextlib.suppress(Refusal):  # there may be room now
                self.write(record["id"], ended)

    def find_table(self) -> str:
        """The nftables table with the rules of this state directory only.

        Neither the path nor the device would distinguish two containers with the host's network.

        Raises:
            Refusal: the file that remembers it cannot be written.
        """
        name = (read_json_file(os.path.join(self.directory, "table.json")) or {}).get("name")
        if not isinstance(name, str) or not re.fullmatch(rf"{TABLE}_[0-9a-f]{{16}}", name):
            name = f"{TABLE}_{os.urandom(8).hex()}"
            self._replace(os.path.join(self.directory, "table.json"), {"name": name})
        return f"inet {name}"

    def install_program(self) -> str:
        """The path of a compiled copy of this program, from which guardians are started.

        Raises:
            Refusal: it cannot be written.
        """
        text = read_source()
        path = name_compiled(self.directory, text)
        if read_compiled(path) is None:
            try:
                write_compiled(path, text, compile(text, "host_program", "exec"))
            except OSError as error:
                raise Refusal(f"{path!r} cannot be written: {error.strerror}", "not_done") from error
        return path


def read_source() -> str:
    """The text of the whole program.

    Raises:
        Refusal: this is a separate module, as in a test, which could not start a guardian.
    """
    if SOURCE:
        return str(SOURCE() if callable(SOURCE) else SOURCE)
    if __package__:
        raise Refusal("only the program in one text can start a guardian", "failed")
    with open(__file__, encoding="utf-8") as file:
        return file.read()


def read_json_file(path: str) -> Record | None:
    """The object in the file; None if the file is missing or not a JSON object."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_whole(record: Record) -> bool:
    """Whether the record is complete: somebody may have edited the file."""
    needed = {"id", "status", "boot"}
    if record.get("status") == "active":
        needed |= {"kind", "target", "until"}
    return needed <= set(record) and record.get("kind", "pause") in KIND_NAMES
