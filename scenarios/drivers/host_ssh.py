"""The host program over ssh: its source is streamed, or it is the forced command of the key."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
from django.conf import settings

from injector.host.arguments import REQUEST_MARK
from injector.host.bundle import build_streamed
from scenarios.domain import service_urls
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.gate import admit
from scenarios.drivers.host_connections import Process, open_process
from scenarios.drivers.host_program import CALL_SECONDS, MAX_ANSWER
from scenarios.ports import Platform, RegisteredHost

CONNECT_SECONDS = 10.0


async def call_over_ssh(
    host: RegisteredHost, request: Mapping[str, Any], platform: Platform | None
) -> tuple[bytes, bytes, int | None]:
    """What the program wrote to its output and its errors, and its exit code.

    Raises:
        StepImpossible: the settings make no sense, or the run may not connect there.
        StepNotSent: the host cannot be reached, or is not the one that SSH_KNOWN_HOSTS names.
        StepFailed: the request was sent, and not answered.
    """
    user, place = service_urls.parse_ssh_address(host.address)
    try:
        addresses = await admit(place.host, place.port, platform)
    except (OSError, UnicodeError) as error:
        raise StepNotSent(_explain(host, f"cannot be reached: {_say(error)}")) from error
    target = _Target(user, place.host, str(addresses[0][4][0]), place.port)
    key = (target, str(settings.SSH_KNOWN_HOSTS), tuple(map(str, settings.SSH_KEYS)))
    command = settings.HOST_PROGRAM_COMMAND
    opened = open_process(key, command, lambda: _connect(host, target), seconds=CALL_SECONDS)
    try:
        async with opened as (connection, process), asyncio.timeout(CALL_SECONDS):
            return await _exchange(host, connection, process, request)
    except TimeoutError as error:
        raise StepFailed(_explain(host, f"gave no answer within {CALL_SECONDS:g} s")) from error
    except (OSError, asyncssh.Error) as error:
        raise StepFailed(_explain(host, f"broke the connection: {_say(error)}")) from error


class _Target(NamedTuple):
    """Where to connect. `name` is that of the host's key, `address` what it was resolved to."""

    user: str
    name: str
    address: str
    port: int


async def _connect(host: RegisteredHost, target: _Target) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(2 * CONNECT_SECONDS):
            return await _log_in(target)
    except TimeoutError as error:
        raise StepNotSent(_explain(host, "did not answer in time")) from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise StepNotSent(
            _explain(host, f"has another key than {settings.SSH_KNOWN_HOSTS or '~/.ssh/known_hosts'!r} says")
        ) from error
    except asyncssh.PermissionDenied as error:
        raise StepNotSent(_explain(host, "does not accept a key of SSH_KEYS for this user")) from error
    except (OSError, UnicodeError, asyncssh.Error) as error:
        raise StepNotSent(_explain(host, f"cannot be reached: {_say(error)}")) from error


async def _log_in(target: _Target) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = {}
    if settings.SSH_KEYS:
        # No agent: another key than these must not be used by chance.
        options = {"client_keys": _load_keys(tuple(map(str, settings.SSH_KEYS))), "agent_path": None}
    return await asyncssh.connect(
        target.address,
        target.port,
        host_key_alias=target.name,
        username=target.user,
        known_hosts=_find_known_hosts(),
        config=None,
        preferred_auth="publickey",
        gss_kex=False,  # it would do without the host's key
        gss_auth=False,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=CONNECT_SECONDS,
        keepalive_interval=5,
        **options,
    )


def _find_known_hosts() -> Any:
    """The file of the setting, or the user's own. Never None, which would accept every host."""
    if not settings.SSH_KNOWN_HOSTS:
        return ()
    path = settings.SSH_KNOWN_HOSTS
    if not Path(path).is_file():
        raise StepImpossible(f"SSH_KNOWN_HOSTS={str(path)!r} is not a file; make it with 'ssh-keyscan'")
    return str(path)


def _load_keys(paths: tuple[str, ...]) -> list[Any]:
    keys = []
    for path in paths:
        try:
            keys.append(asyncssh.read_private_key(path))
        except (OSError, asyncssh.Error, ValueError) as error:
            raise StepImpossible(
                f"SSH_KEYS contains {path!r}, which is not readable: {_say(error)}"
            ) from error
    return keys


async def _exchange(
    host: RegisteredHost,
    connection: asyncssh.SSHClientConnection,
    process: Process,
    request: Mapping[str, Any],
) -> tuple[bytes, bytes, int | None]:
    own = str(connection.get_extra_info("sockname")[0])
    text = build_stream({**request, "coordinator": [own.partition("%")[0]]})
    process.stdin.write(text.encode())
    process.stdin.write_eof()
    output = await _read(host, process.stdout)
    errors = await _read(host, process.stderr)
    await process.wait_closed()
    return output, errors, process.exit_status


async def _read(host: RegisteredHost, stream: Any) -> bytes:
    """What it says, up to a limit: the host may be anything.

    Raises:
        StepFailed: it says more.
    """
    found = bytearray()
    while data := await stream.read(65536):
        found += data
        if len(found) > MAX_ANSWER:
            raise StepFailed(
                _explain(host, f"answered more than {MAX_ANSWER} bytes: {bytes(found[:40])!r} …")
            )
    return bytes(found)


def build_stream(request: Mapping[str, Any]) -> str:
    """The program with its request, for `python3 -`. A forced command reads only the last line."""
    text = json.dumps(dict(request))
    return f"{build_streamed(text)}{REQUEST_MARK}{text}\n"


def _explain(host: RegisteredHost, what: str) -> str:
    return f"host {host.name!r} at {host.address} {what}"


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__
