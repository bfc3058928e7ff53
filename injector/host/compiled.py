"""Keeps the program compiled on the machine, because compiling it takes longer than most calls."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import marshal
import os
import stat
import sys
from typing import Any, Sequence

STATE = "/run/test-coordinator"
# PEP 552: it is not compared with its source when it runs.
_FLAGS = (0b01).to_bytes(4, "little")
_HEADER_LENGTH = 16


def choose_directory() -> str:
    """Where faults are remembered until the machine restarts."""
    if os.geteuid() == 0:
        return STATE
    for directory in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
        if directory.startswith("/") and os.access(directory, os.W_OK):
            return os.path.join(directory, "test-coordinator")
    return f"/tmp/test-coordinator-{os.geteuid()}"  # noqa: S108 - its owner is checked


def find_directory(words: Sequence[str]) -> str:
    """The directory that the command line names, or the usual one."""
    place = words.index("--state") + 1 if "--state" in words else 0
    return words[place] if 0 < place < len(words) else choose_directory()


def name_compiled(directory: str, source: str) -> str:
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    return os.path.join(directory, f"program-{digest}.{sys.implementation.cache_tag}.pyc")


def read_compiled(path: str) -> Any:
    """The code in the file; None if there is none, or if another user may have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            if not is_own(os.lstat(os.path.dirname(path))) or not is_own(os.fstat(descriptor)):
                return None
            data = file.read()
        if data[:4] != importlib.util.MAGIC_NUMBER:
            return None
        return marshal.loads(data[_HEADER_LENGTH:])  # noqa: S302 - this user alone could write it
    except (OSError, ValueError, EOFError, TypeError):
        return None


def is_own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022 and not stat.S_ISLNK(found.st_mode)


def write_compiled(path: str, source: str, code: Any) -> None:
    """Keep the code. `path` is that of `name_compiled`.

    Raises:
        OSError: it cannot be written.
    """
    beside = f"{path}.{os.getpid()}"
    header = importlib.util.MAGIC_NUMBER + _FLAGS + importlib.util.source_hash(source.encode())
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(header + marshal.dumps(code))
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def run_streamed(source: str, words: Sequence[str], request: str) -> int:
    """Answer the request with the program in this text, which is kept compiled for the next call."""
    scope, code, path = load_program(source, words)
    status = scope["main"](words, request)
    sys.stdout.flush()  # nobody waits for the rest
    keep_program(source, code, path)
    return int(status)


def serve_streamed(source: str, words: Sequence[str]) -> int:
    """As `run_streamed`, for all requests on standard input."""
    scope, code, path = load_program(source, words)
    return int(scope["serve"](words, lambda: keep_program(source, code, path)))


def load_program(source: str, words: Sequence[str]) -> tuple[dict[str, Any], Any, str]:
    """Its names; its code, or None if the code is already kept; and the path for the code."""
    path = name_compiled(find_directory(words), source)
    kept = read_compiled(path)
    code = kept if kept is not None else compile(source, "host_program", "exec")
    scope: dict[str, Any] = {"__name__": "host_program", "SOURCE": source}
    exec(code, scope)  # noqa: S102 - the same as the text that it comes with
    return scope, code if kept is None else None, path


def keep_program(source: str, code: Any, path: str) -> None:
    with contextlib.suppress(OSError):
        if code is not None and is_own(os.lstat(os.path.dirname(path))):
            write_compiled(path, source, code)
