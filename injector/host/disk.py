"""The fault of a full disk."""

from __future__ import annotations

import os
import time
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, get_directory, get_number
from injector.host.kind import Call, Kind
from injector.host.limits import START_SECONDS
from injector.host.processes import is_running
from injector.host.store import Store, hash_id

# Space that a full disk leaves for the state directory, where renewals and removals are recorded.
STATE_BYTES = 4 << 20


class Disk(Kind):
    """A file that fills the disk. Its name is removed once it is open, so that its space is freed with its
    process.

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
            except OSError:  # full earlier than reported: the file system reserves blocks
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
    """Bytes until this share of the disk is used; if it has the state directory, STATE_BYTES stay free."""
    found = os.statvfs(path)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    wanted = int(found.f_blocks * found.f_frsize * share) - used
    has_state = os.stat(path).st_dev == os.stat(store.directory).st_dev
    return max(0, min(wanted, found.f_bavail * found.f_frsize - (STATE_BYTES if has_state else 0)))
