"""Calls of the host program: here, or over ssh. It reads one request, and writes one answer."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings

from injector.lookups import look_up
from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.domain.matchers import format_value
from scenarios.drivers.child.process import scrubbed_environment
from scenarios.drivers.host_program import CALL_SECONDS, find_program
from scenarios.drivers.hosts import this_host
from scenarios.ports import Platform, RegisteredHost

_NOT_FOUND = 127  # the exit code of a shell that does not find a command
# The requests that choose a target.
_TARGETING = frozenset({"inject", "describe"})
_ERRORS = {
    "impossible": StepImpossible,
    "not_done": StepNotDone,
    "gone": FaultGone,
    "failed": StepFailed,
    "not_sent": StepNotSent,
}


async def call(
    host: RegisteredHost, request: Mapping[str, Any], platform: Platform | None
) -> Mapping[str, Any]:
    """The answer of the host program to this request.

    Raises:
        StepImpossible: the host refuses it.
        StepNotSent: the host cannot be reached, or the program cannot be started.
        StepNotDone: the host has not done it; FaultGone where it does not have the fault.
        StepFailed: there was no answer.
    """
    if host.address:
        try:
            # Late, because asyncssh is optional.
            from scenarios.drivers.host_ssh import call_over_ssh  # noqa: PLC0415
        except ImportError as error:
            raise StepImpossible(
                f"host {host.name!r} is reached by ssh, which needs asyncssh: install it with the extra 'ssh'"
            ) from error

        output, errors, code = await call_over_ssh(host, request, platform)
    else:
        # Not for others: the fault that is undone may be that no name is found.
        lifelines = await find_lifelines() if request["do"] in _TARGETING else []
        whole = {**request, "own": str(settings.FILES_DIR), "coordinator": lifelines}
        output, errors, code = await _call_here(build_local_command(), whole)
    return _read_answer(f"host {host.name!r}", output, errors, code)


async def call_program(name: str, command: Sequence[str], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """As `call`, by a command on this machine; `name` is what sentences call its target."""
    output, errors, code = await _call_here(command, request)
    return _read_answer(name, output, errors, code)


def build_local_command() -> list[str]:
    """What runs the program on the worker's own host. The site's settings are its allow list.

    It remembers its faults where the watchdog, which has a /tmp of its own, finds them.
    """
    state = Path(settings.DATA_DIR) / "host-faults" / this_host()
    allowed = ",".join(settings.ALLOWED_HOST_FAULTS)
    return [sys.executable, "-IS", str(find_program()), "--state", str(state), "--allowed", allowed]


async def _call_here(command: Sequence[str], request: Mapping[str, Any]) -> tuple[bytes, bytes, int | None]:
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=scrubbed_environment(),
            cwd="/",
        )
    except OSError as error:
        raise StepNotSent(f"the host program cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(CALL_SECONDS):
            output, errors = await child.communicate(json.dumps(dict(request)).encode())
    except TimeoutError as error:
        raise StepFailed(f"the host program was still running after {CALL_SECONDS:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            child.kill()
    return output, errors, child.returncode


async def find_lifelines() -> list[str]:
    """The addresses of the coordinator's own database and queue, which no rule on its host may cut off."""
    database = settings.DATABASES["default"]
    places = [(database.get("HOST") or "", int(database.get("PORT") or 5432))]
    if settings.REDIS_URL:
        parts = urlsplit(settings.REDIS_URL)
        places.append((parts.hostname or "", parts.port or 6379))
    found = set()
    for host, port in places:
        if host and not host.startswith("/"):  # a directory of Unix sockets
            with suppress(OSError, UnicodeError):
                for entry in await look_up(host, port):
                    address = str(entry[4][0])
                    found.add(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    return sorted(found)


def _read_answer(target: str, output: bytes, errors: bytes, code: int | None) -> Mapping[str, Any]:
    lines = output.splitlines() or [b""]
    try:
        answer = json.loads(lines[-1])  # what the shell's own files print comes before it
        is_done = answer["ok"]
    except (ValueError, TypeError, KeyError, RecursionError):
        _raise_no_answer(target, output, errors, code)
    if is_done is True:
        return dict(answer)
    raise _ERRORS.get(answer.get("code"), StepFailed)(f"{target}: {answer.get('reason')}")


def _raise_no_answer(target: str, output: bytes, errors: bytes, code: int | None) -> NoReturn:
    said = format_value((errors or output).decode("utf-8", "replace").strip())
    if code == _NOT_FOUND and not output:
        raise StepNotSent(
            f"{target} has no Python where HOST_PROGRAM_COMMAND expects it: {said}; install Python 3.8 "
            "or newer there"
        )
    raise StepFailed(f"{target} did not answer as the host program does (exit code {code}): {said}")
