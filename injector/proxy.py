"""The relays of a proxy and its control API; the configuration may change while it runs."""

import asyncio
import logging
import resource
import ssl
import sys
from collections import Counter
from dataclasses import replace

from injector.certificates import read_validity
from injector.configuration import Address, Listener, ServerTls, SettingError, Settings, format_address
from injector.connections import Upstream
from injector.control import Control
from injector.leases import FaultTable
from injector.relay import Relay
from injector.tokens import Tokens

logger = logging.getLogger(__name__)

# Files for the control API, the listeners and the configuration; of a low limit, no more than half.
RESERVED_FILES = 264

# The address and a count, because several listeners may have port 0.
Key = tuple[Address, int]


class Proxy:
    """Relays and their control API. After its start, a proxy has no faults."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._by_key: dict[Key, Relay] = {}
        self.relays: dict[str, Relay] = {}
        self.faults = FaultTable(self._apply)
        self.control_address = settings.control
        self._control: asyncio.Server | None = None
        self._control_tls: ssl.SSLContext | None = None
        self.max_connections = find_max_connections()

    @property
    def control_url(self) -> str:
        scheme = "http" if self._settings.control_tls is None else "https"
        return f"{scheme}://{format_address(*self.control_address)}"

    async def start(self) -> None:
        """Listen everywhere.

        Raises:
            OSError: an address is in use, or not of this machine.
            SettingError: a certificate cannot be used.
        """
        await self._set_listeners(self._settings)
        control = Control(self.relays, self.faults, self._tokens)
        self._control_tls = _build_control_tls(self._settings.control_tls)
        place = self._settings.control
        self._control = await asyncio.start_server(control.serve, *place, ssl=self._control_tls)
        self.control_address = self._control.sockets[0].getsockname()[:2]

    async def reload(self, settings: Settings) -> None:
        """Use these settings from now on; unchanged listeners keep their connections and faults.

        Raises:
            OSError, SettingError: they cannot be used; nothing has changed.
        """
        if settings.control != self._settings.control:
            place = format_address(*self._settings.control)
            logger.warning("the control API stays on %s until the proxy is restarted", place)
            settings = replace(settings, control=self._settings.control)
        if (settings.control_tls is None) != (self._settings.control_tls is None):
            raise SettingError("TLS of the control API changes only with a restart")
        _build_control_tls(settings.control_tls)
        await self._set_listeners(settings)
        if self._control_tls is not None and settings.control_tls is not None:
            settings.control_tls.load(self._control_tls)
        self._settings = settings

    def stop(self) -> None:
        self.faults.close()
        for relay in self.relays.values():
            relay.stop()
        if self._control is not None:
            self._control.close()

    async def _set_listeners(self, settings: Settings) -> None:
        wanted = _number(settings.listeners)
        built = {key: _build(listener) for key, listener in wanted.items()}
        new = [key for key in wanted if key not in self._by_key]
        started: list[Key] = []
        try:
            for key in new:
                started.append(key)
                await built[key].start()
        except OSError:
            for key in started:
                built[key].stop()
            raise
        for key in [key for key in self._by_key if key not in wanted]:
            self._drop(self._by_key.pop(key))
        for key, listener in wanted.items():
            if key in new:
                self._by_key[key] = relay = built[key]
                relay.is_full = self._is_full
                self.relays[relay.name] = relay
            else:
                self._by_key[key].follow(built[key], listener.tls)
            if problem := self._by_key[key].certificate_problem:
                logger.warning("%s: %s", self._by_key[key].name, problem)

    def _is_full(self) -> bool:
        return sum(len(relay.open) for relay in self.relays.values()) >= self.max_connections

    def _drop(self, relay: Relay) -> None:
        for fault_id, held in self.faults:
            if held.listener == relay.name:
                self.faults.remove(fault_id)
        del self.relays[relay.name]
        relay.stop()

    def _apply(self, listener: str) -> None:
        self.relays[listener].set_faults(self.faults.of_listener(listener))


def find_max_connections() -> int:
    """Each connection has two files: the client's, and that of its upstream."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, (files - min(RESERVED_FILES, files // 2)) // 2)


def _number(listeners: tuple[Listener, ...]) -> dict[Key, Listener]:
    seen: Counter[Address] = Counter()
    numbered = {}
    for listener in listeners:
        numbered[listener.listen, seen[listener.listen]] = listener
        seen[listener.listen] += 1
    return numbered


def _build_control_tls(tls: ServerTls | None) -> ssl.SSLContext | None:
    """Raises SettingError: the certificate cannot be used."""
    try:
        return tls.build() if tls is not None else None
    except (OSError, ValueError) as error:
        raise SettingError(f"the certificate of the control API cannot be used: {error}") from error


def _build(listener: Listener) -> Relay:
    """A relay that does not listen yet.

    Raises:
        SettingError: a certificate cannot be used.
    """
    client, server = listener.upstream_tls, listener.tls
    try:
        upstream = Upstream(
            *listener.upstream,
            tls=client.build() if client else None,
            server_name=client.server_name if client else None,
        )
        if server is None:
            return Relay(listener.listen, upstream)
        return Relay(listener.listen, upstream, server.build(), read_validity(server.certificate))
    except (OSError, ValueError) as error:
        place, files = format_address(*listener.listen), ", ".join(listener.files)
        raise SettingError(
            f"the certificates of the listener {place} cannot be used: {error}; look at {files}"
        ) from error
