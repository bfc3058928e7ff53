"""The host program over ssh: its source is streamed, or it is the forced command of the key."""

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
from django.conf import settings

from injector.host.arguments import REQUEST_MARK
from injector.host.bundle import build_streamed
from scenarios.domain import service_urls
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.gate import AddressInfo, admit
from scenarios.drivers.host_connections import NotStartedError, Process, open_process, open_session
from scenarios.drivers.host_program import CALL_SECONDS, MAX_ANSWER
from scenarios.ports import Platform, RegisteredHost

CONNECT_SECONDS = 10.0
# For each address of a name but the last.
OTHER_ADDRESS_SECONDS = 3.0


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
    target = _Target(user, place.host, place.port, tuple(addresses))
    place_key = (host.name, user, place.host, place.port, frozenset(addresses))
    command = settings.HOST_PROGRAM_COMMAND
    key = (*place_key, command, str(settings.SSH_KNOWN_HOSTS), tuple(map(str, settings.SSH_KEYS)))
    connect = lambda: _connect(host, target)  # noqa: E731 - a name for it says no more
    try:
        async with open_session(key, command, connect) as serving:
            if serving is not None:
                async with asyncio.timeout(CALL_SECONDS):
                    connection, session = serving
                    return await session.ask(_format_request(connection, request)), b"", 0
        opened = open_process(key, command, connect, seconds=CALL_SECONDS)
        async with opened as (connection, process), asyncio.timeout(CALL_SECONDS):
            return await _exchange(host, connection, process, request)
    except NotStartedError as error:
        raise StepNotSent(_explain(host, f"starts no program: {error}")) from error
    except TimeoutError as error:
        raise StepFailed(_explain(host, f"gave no answer within {CALL_SECONDS:g} s")) from error
    except (OSError, asyncssh.Error) as error:
        raise StepFailed(_explain(host, f"broke the connection: {_say(error)}")) from error


class _Target(NamedTuple):
    """Where to connect. `name` is that of the host's key, `addresses` what it was resolved to."""

    user: str
    name: str
    port: int
    addresses: tuple[AddressInfo, ...]


async def _connect(host: RegisteredHost, target: _Target) -> asyncssh.SSHClientConnection:
    try:
        async with asyncio.timeout(2 * CONNECT_SECONDS):
            return await _log_in(target)
    except TimeoutError as error:
        raise StepNotSent(_explain(host, "did not answer in time")) from error
    except asyncssh.HostKeyNotVerifiable as error:
        known = str(settings.SSH_KNOWN_HOSTS or "~/.ssh/known_hosts")
        raise StepNotSent(_explain(host, f"has another key than {known!r} says")) from error
    except asyncssh.PermissionDenied as error:
        raise StepNotSent(_explain(host, "does not accept a key of SSH_KEYS for this user")) from error
    except (OSError, UnicodeError, asyncssh.Error) as error:
        raise StepNotSent(_explain(host, f"cannot be reached: {_say(error)}")) from error


async def _log_in(target: _Target) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = {}
    if settings.SSH_KEYS:
        # No agent: another key than these must not be used by chance.
        options = {"client_keys": _load_keys(tuple(map(str, settings.SSH_KEYS))), "agent_path": None}
    known_hosts = _find_known_hosts()
    opened = await _open_socket(target)
    try:
        return await asyncssh.connect(
            target.name,
            target.port,
            sock=opened,
            host_key_alias=target.name,
            username=target.user,
            known_hosts=known_hosts,
            config=None,
            preferred_auth="publickey",
            gss_kex=False,  # it would do without the host's key
            gss_auth=False,
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            keepalive_interval=5,
            **options,
        )
    except BaseException:
        opened.close()
        raise


async def _open_socket(target: _Target) -> socket.socket:
    """Connect to the first address that answers: one that a name also has may be of no use here.

    Raises:
        OSError: none does; the error of the last one.
    """
    *others, last = target.addresses
    for address in others:
        with suppress(OSError):
            async with asyncio.timeout(OTHER_ADDRESS_SECONDS):
                return await _connect_to(address)
    return await _connect_to(last)


async def _connect_to(address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, place = address
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(opened, place)
    except BaseException:
        opened.close()
        raise
    return opened


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
    process.stdin.write(build_stream(_format_request(connection, request)).encode())
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


def _format_request(connection: asyncssh.SSHClientConnection, request: Mapping[str, Any]) -> str:
    """The request, with the coordinator's address as the host sees it."""
    own = str(connection.get_extra_info("sockname")[0])
    return json.dumps({**request, "coordinator": [own.partition("%")[0]]})


def build_stream(request: str) -> str:
    """The program with its request, for `python3 -`. A forced command reads only the last line."""
    return f"{build_streamed(request)}{REQUEST_MARK}{request}\n"


def _explain(host: RegisteredHost, what: str) -> str:
    return f"host {host.name!r} at {host.address} {what}"


def _say(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    words = error.strerror if isinstance(error, OSError) else ""
    return words or str(error) or type(error).__name__
