"""Sends a signal to a process on the coordinator's own host, if the site allows it.

A process is allowed if a pid file in one of ALLOWED_PIDFILE_DIRS names it, however the step names it.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from django.conf import settings
from pydantic import Field

from scenarios.domain.allow_lists import ListName
from scenarios.domain.declarations import ABSENT, WHOLE, Declaration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import is_templated
from scenarios.drivers import processes
from scenarios.drivers.allow_lists import read_for_check, read_for_step, refuse_switched_off
from scenarios.drivers.processes import PidFile
from scenarios.ports import Platform

_WAYS = ("pid", "pidfile", "port")
_OWN_PROGRAMS = ("gunicorn", "db_worker", "rqworker")


class SignalReturned(Returned):
    pid: int = Field(json_schema_extra=ALWAYS, description="The id of the process.")
    note: str = Field(description="A note, if the process to continue is gone.")


class SignalArguments(Declaration):
    """`pid`, `pidfile` or `port` (of the listening process)."""

    Returns: ClassVar[type[Returned]] = SignalReturned
    pid: Annotated[int, Field(ge=2, le=2**31 - 1), WHOLE] = Field(ABSENT)
    pidfile: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    port: Annotated[int, Field(ge=1, le=65535), WHOLE] = Field(ABSENT)
    signal: Literal["STOP", "CONT", "TERM", "KILL", "HUP", "USR1", "USR2", "INT"]

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        ways = [way for way in _WAYS if way in values]
        if not ways:
            yield "", "the step has no process: give one of 'pid', 'pidfile' and 'port'"
        for extra in ways[1:]:
            yield extra, f"{extra!r} and {ways[0]!r} cannot be combined: name the process in one way"
        path = values.get("pidfile")
        if not settings.ALLOWED_PIDFILE_DIRS and ways:
            yield ways[0], "this site allows no signals: ALLOWED_PIDFILE_DIRS is empty"
        elif isinstance(path, str) and not is_templated(path) and not _is_allowed_path(path):
            yield "pidfile", f"{path[:80]!r} is not allowed on this site: {_list_allowed_folders()}"


class Signal:
    """As a probe, it finds the process and sends nothing.

    A process may be signalled if a pid file in one of ALLOWED_PIDFILE_DIRS names it and is newer than the
    process; for `pid` and `port`, the file must match *.pid. The coordinator's own processes are never
    signalled.
    """

    name: ClassVar[str] = "signal"
    Arguments: ClassVar[type[SignalArguments]] = SignalArguments
    is_host_bound: ClassVar[bool] = True
    arrives_late: ClassVar[bool] = False

    def check(self, arguments: SignalArguments, platform: Platform) -> None:
        """Does not look for the process, because an earlier step may start it."""
        if not settings.ALLOWED_PIDFILE_DIRS:
            raise StepImpossible("this site allows no signals: ALLOWED_PIDFILE_DIRS is empty")
        if arguments.pidfile is not None and not _is_allowed_path(arguments.pidfile):
            raise StepImpossible(
                f"{arguments.pidfile!r} is not allowed on this site: {_list_allowed_folders()}"
            )
        _refuse_switched_off(arguments, read_for_check(platform, ListName.PIDFILE_DIRS))

    async def permit(self, arguments: SignalArguments, platform: Platform) -> None:
        _refuse_switched_off(arguments, await read_for_step(platform, ListName.PIDFILE_DIRS))

    async def probe(self, arguments: SignalArguments, platform: Platform) -> Mapping[str, Any]:
        file = _find_pid_file(arguments, await read_for_step(platform, ListName.PIDFILE_DIRS))
        try:
            with _open_checked(file):
                return {"pid": file.pid}
        except ProcessLookupError as error:
            raise StepFailed(str(error)) from error

    async def act(self, arguments: SignalArguments, platform: Platform) -> Mapping[str, Any]:
        file = _find_pid_file(arguments, await read_for_step(platform, ListName.PIDFILE_DIRS))
        try:
            with _open_checked(file) as descriptor:
                signal.pidfd_send_signal(descriptor, signal.Signals[f"SIG{arguments.signal}"])
        except ProcessLookupError as error:
            if arguments.signal == "CONT":
                # The undo of a STOP: a process that is gone is no longer stopped.
                return {"pid": file.pid, "note": str(error)}
            raise StepNotSent(str(error)) from error
        except PermissionError as error:
            raise StepNotSent(
                f"process {file.pid} belongs to another user: it cannot be signalled"
            ) from error
        return {"pid": file.pid}


def _list_allowed_folders() -> str:
    folders = ", ".join(repr(str(folder)) for folder in settings.ALLOWED_PIDFILE_DIRS)
    return f"ALLOWED_PIDFILE_DIRS names {folders}"


def _is_allowed_path(path: str) -> bool:
    """Checks the path as written; links are resolved when the step runs."""
    return _is_in(path, settings.ALLOWED_PIDFILE_DIRS)


def _is_in(path: str, folders: Sequence[Path]) -> bool:
    normal = Path(os.path.normpath(path))
    return any(normal.is_relative_to(folder) for folder in folders)


def _refuse_switched_off(arguments: SignalArguments, folders: Sequence[str] | None) -> None:
    """Raises StepImpossible if people have switched off the folder of the pid file, or all folders."""
    if folders is None:
        return
    if not folders:
        refuse_switched_off("sending signals", ListName.PIDFILE_DIRS, folders)
    if arguments.pidfile is not None and not _is_in(arguments.pidfile, [Path(name) for name in folders]):
        refuse_switched_off(f"{arguments.pidfile[:300]!r}", ListName.PIDFILE_DIRS, folders)


def _find_folders(narrowed: Sequence[str] | None) -> Sequence[Path]:
    """The folders that are allowed now. A link in one of the settings' folders leads to nothing more."""
    bound: Sequence[Path] = settings.ALLOWED_PIDFILE_DIRS
    if narrowed is None:
        return bound
    real = [folder.resolve() for folder in bound]
    folders = [Path(name) for name in narrowed]
    return [each for each in folders if any(each.resolve().is_relative_to(outer) for outer in real)]


def _find_pid_file(arguments: SignalArguments, narrowed: Sequence[str] | None) -> PidFile:
    """Find the pid file of the step's process.

    Raises:
        StepImpossible: there is none, or it is not in an allowed folder.
    """
    if not settings.ALLOWED_PIDFILE_DIRS:
        raise StepImpossible("this site allows no signals: ALLOWED_PIDFILE_DIRS is empty")
    if arguments.pidfile is not None and not _is_allowed_path(arguments.pidfile):
        raise StepImpossible(f"{arguments.pidfile!r} is not allowed on this site: {_list_allowed_folders()}")
    _refuse_switched_off(arguments, narrowed)
    folders = _find_folders(narrowed)
    if arguments.pidfile is not None:
        try:
            return processes.read_pid_file(arguments.pidfile, folders)
        except ValueError as error:
            raise StepImpossible(str(error)) from error
        except OSError as error:
            raise StepImpossible(f"{arguments.pidfile!r} cannot be read: {error.strerror}") from error
    meant, words = _find_meant(arguments)
    for file in processes.find_pid_files(folders):
        if file.pid in meant:
            return file
    if narrowed is not None:
        refuse_switched_off(f"signalling {words}", ListName.PIDFILE_DIRS, narrowed)
    raise StepImpossible(
        f"no *.pid file names {words}, so it must not be signalled: {_list_allowed_folders()}"
    )


def _find_meant(arguments: SignalArguments) -> tuple[set[int], str]:
    """The processes of the step's `pid` or `port`, and how people speak of them."""
    if arguments.pid is not None:
        return {arguments.pid}, f"process {arguments.pid}"
    found = processes.find_listeners(arguments.port)
    if not found:
        raise StepImpossible(f"no visible process listens on port {arguments.port}")
    return found, f"the process that listens on port {arguments.port}"


@contextmanager
def _open_checked(file: PidFile) -> Iterator[int]:
    """Yield the descriptor of the process that the file names, after checking that it is this process.

    Raises:
        ProcessLookupError: it is gone; another process may have its number now.
        StepImpossible: it belongs to the coordinator, or is hidden.
    """
    try:
        with processes.open_process(file.pid) as descriptor:
            # While the descriptor is open and the process alive, its number cannot belong to another.
            _refuse_hidden(file, descriptor)
            _refuse_others(file)
            yield descriptor
    except (FileNotFoundError, ProcessLookupError) as error:
        own_sentence = len(error.args) == 1
        sentence = error.args[0] if own_sentence else f"process {file.pid} of {file.path!r} is gone"
        raise ProcessLookupError(sentence) from error


def _refuse_hidden(file: PidFile, descriptor: int) -> None:
    """A hidden process must not count as gone, because then it would need no undo."""
    if processes.is_hidden(file.pid) and not processes.has_ended(descriptor):
        raise StepImpossible(
            f"process {file.pid} of {file.path!r} belongs to another user and is hidden: the worker and the "
            "watchdog must be able to see it in /proc (in a systemd unit: ProtectProc=default)"
        )


def _refuse_others(file: PidFile) -> None:
    if processes.has_started_after(file.pid, file):
        raise ProcessLookupError(
            f"the process that {file.path!r} named is gone: "
            f"its number, {file.pid}, belongs to a process that started later"
        )
    if not processes.is_alive(file.pid):
        raise ProcessLookupError(f"process {file.pid} of {file.path!r} has ended")
    if _is_own(file.pid):
        raise StepImpossible(
            f"process {file.pid} belongs to the coordinator, which signals only other processes"
        )


def _is_own(pid: int) -> bool:
    """Whether it is this process, one of its ancestors, or another process of this project."""
    if pid in processes.find_ancestors(os.getpid()):
        return True
    try:
        directory, words = processes.read_command_line(pid)
    except PermissionError:
        return False  # another user's process, which cannot be signalled either
    runs_here = any(
        word.endswith("manage.py") and (directory / word).resolve() == settings.FILES_DIR / "manage.py"
        for word in words
    ) or (directory == settings.FILES_DIR and any(word.endswith(_OWN_PROGRAMS) for word in words))
    # The demo services may be broken.
    return runs_here and "demo_service" not in words
