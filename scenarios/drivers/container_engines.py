"""The container engines that CONTAINER_ENGINES names, and calls of their API."""

import asyncio
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings

from injector.host.arguments import Refusal
from injector.host.engine import Engine, open_unix
from injector.host.units import can_start_units, find_deadly_unit, is_in_container_of_host
from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone, StepNotSent

T = TypeVar("T")
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")
# Docker and Podman make these in each container.
_MARKS = ("/.dockerenv", "/run/.containerenv")
_ERRORS = {
    "impossible": StepImpossible,
    "not_sent": StepNotSent,
    "not_done": StepNotDone,
    "gone": FaultGone,
    "failed": StepFailed,
}


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """`url` is `unix:///PATH` or `tcp://HOST:PORT`, the latter always with TLS."""

    name: str
    url: str

    @property
    def socket(self) -> str:
        """The path of the socket on this machine; "" for another machine's engine."""
        return urlsplit(self.url).path if self.url.startswith("unix:") else ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def has_guardian(self) -> bool:
        """Whether a guardian beside the engine can end faults: one in a container would end with that."""
        return bool(self.socket) and _is_beside(self.socket) and _outlives_worker()

    def open(self) -> Engine:
        """What calls its API.

        Raises:
            StepImpossible: the files for TLS cannot be used.
        """
        return Engine(self.name, open_unix(self.socket) if self.socket else self._prepare_tls())

    def _prepare_tls(self) -> Callable[[float], http.client.HTTPConnection]:
        if missing := explain_missing_tls(self.name):
            raise StepImpossible(missing)
        ca, certificate, key = (find_tls_folder(self.name) / name for name in TLS_FILES)
        try:
            context = ssl.create_default_context(cafile=str(ca))
            context.load_cert_chain(str(certificate), str(key))
        except (OSError, ValueError) as error:
            raise StepImpossible(
                f"engine {self.name!r} cannot be asked with the files in "
                f"{str(find_tls_folder(self.name))!r}: {error}"
            ) from error
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        return lambda seconds: http.client.HTTPSConnection(host, port, timeout=seconds, context=context)


def find_tls_folder(engine: str) -> Path:
    return Path(settings.CONTAINER_TLS_DIR or "/") / engine


def explain_missing_tls(engine: str) -> str:
    """Why an engine with a TCP address cannot be asked; "" if it can."""
    if not settings.CONTAINER_TLS_DIR:
        return (
            f"engine {engine!r} is reached over TCP, which needs TLS: set CONTAINER_TLS_DIR to a folder with "
            f"'{engine}/{TLS_FILES[0]}' and so on"
        )
    folder = find_tls_folder(engine)
    if missing := [name for name in TLS_FILES if not (folder / name).is_file()]:
        return f"engine {engine!r} needs TLS: {', '.join(missing)} missing in {str(folder)!r}"
    return ""


def _is_beside(path: str) -> bool:
    """Whether the engine that made this socket is a process that this one sees.

    From a container with the socket of its host, the kernel gives the number 0 for it. See unix(7).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(path)
        except OSError:
            return not any(Path(mark).exists() for mark in _MARKS)
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", peer)[0])


@lru_cache(maxsize=1)
def _outlives_worker() -> bool:
    """Whether a process that the worker starts goes on when the worker's unit or container is killed."""
    return can_start_units() or not (find_deadly_unit() or is_in_container_of_host())


def name_engine(given: str | None) -> str:
    """The engine that the step names, or the only one that there is; "" if that is unclear."""
    if given:
        return given
    return next(iter(settings.CONTAINER_ENGINES)) if len(settings.CONTAINER_ENGINES) == 1 else ""


def find_engine(given: str | None) -> EngineAddress:
    """The engine that the step means.

    Raises:
        StepImpossible: no engine has this name, or the step has to name one.
    """
    known = ", ".join(sorted(settings.CONTAINER_ENGINES)) or "none"
    name = name_engine(given)
    if not name and settings.CONTAINER_ENGINES:
        raise StepImpossible(f"there is more than one container engine: name one with 'engine': {known}")
    if name not in settings.CONTAINER_ENGINES:
        wanted = f"unknown container engine {name!r}" if name else "there is no container engine"
        raise StepImpossible(
            f"{wanted}; CONTAINER_ENGINES names {known}: write it as 'local=unix:///var/run/docker.sock'"
        )
    return EngineAddress(name, settings.CONTAINER_ENGINES[name])


async def call(function: Callable[..., T], *given: Any) -> T:
    """Call the function, which speaks to an engine, in a separate thread.

    A thread that hangs must not delay other calls or the end of the process. It ends by itself, because each
    call of an engine has a limit.

    Raises:
        StepFailed: and its kinds, as the Refusal says.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = function(*given)
        except Exception as raised:  # noqa: BLE001 - it is raised where the call is awaited
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="container-engine", daemon=True).start()
    try:
        return await future
    except Refusal as refusal:
        raise translate_refusal(refusal) from None


def translate_refusal(refusal: Refusal) -> StepFailed:
    return _ERRORS.get(refusal.code, StepFailed)(refusal.reason)
