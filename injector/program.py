"""The fault proxy as a process: `python -m injector --listen … --upstream … --control …`."""

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from injector.connections import Upstream
from injector.control import Control
from injector.leases import FaultTable
from injector.relay import Relay

logger = logging.getLogger(__name__)

Address = tuple[str, int]
MAX_PORT = 65535
TOKEN_VARIABLE = "FAULT_PROXY_TOKEN"  # noqa: S105 - the name of a variable


class SettingError(ValueError):
    """The command line, or the file that it names, makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    listeners: tuple[tuple[Address, Address], ...]
    """Where to listen, and for which upstream."""
    control: Address
    token: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", action="append", default=[], metavar="HOST:PORT", help="where clients connect"
    )
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="where their dependency really is",
    )
    parser.add_argument("--control", metavar="HOST:PORT", help="where the control API listens")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help=f"holds the token; else {TOKEN_VARIABLE}"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help='JSON: {"control": "H:P", "listeners": [{"listen": "H:P", "upstream": "H:P"}]}',
    )


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings of the command line, and of the file that it names.

    Raises:
        SettingError: they make no sense.
    """
    if len(options.listen) != len(options.upstream):
        raise SettingError("give one --upstream for each --listen, in the same order")
    config = _read_config(options.config) if options.config else {}
    listeners = [*zip(options.listen, options.upstream, strict=True), *_read_listeners(config)]
    control = options.control or config.get("control")
    if not listeners:
        raise SettingError("nothing to listen on; give --listen and --upstream")
    if not control:
        raise SettingError("no control API; give --control HOST:PORT")
    parsed = tuple((parse_address(listen), parse_address(upstream)) for listen, upstream in listeners)
    return Settings(parsed, parse_address(str(control)), _read_token(options.token_file))


def parse_address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) <= MAX_PORT):
        raise SettingError(f"{text!r} is not an address; write it as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _read_config(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingError(f"--config {str(path)!r} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SettingError(f"--config {str(path)!r} must hold a JSON object")
    return found


def _read_listeners(config: dict[str, object]) -> list[tuple[str, str]]:
    listeners = config.get("listeners", [])
    if not isinstance(listeners, list):
        raise SettingError("'listeners' must be a list")
    try:
        return [(str(entry["listen"]), str(entry["upstream"])) for entry in listeners]
    except (KeyError, TypeError) as error:
        raise SettingError("each of 'listeners' needs 'listen' and 'upstream'") from error


def _read_token(file: Path | None) -> str:
    """From the file, or the environment; without either a new one, which is printed."""
    if file is not None:
        try:
            token = file.read_text().strip()
        except OSError as error:
            raise SettingError(f"--token-file {str(file)!r} cannot be read: {error.strerror}") from error
        if not token:
            raise SettingError(f"--token-file {str(file)!r} is empty")
        return token
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return token
    token = secrets.token_urlsafe(24)
    sys.stdout.write(f"The token of this process: {token}\n")
    return token


class Proxy:
    """Relays and their control API. A proxy that is started has no faults."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.relays: dict[str, Relay] = {}
        self.faults = FaultTable(self._apply)
        self.control_address = settings.control
        self._control: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen everywhere.

        Raises:
            OSError: an address is taken, or not of this machine.
        """
        for address, upstream in self._settings.listeners:
            relay = Relay(address, Upstream(*upstream))
            await relay.start()
            relay.name = "{}:{}".format(*relay.address)
            self.relays[relay.name] = relay
        control = Control(self.relays, self.faults, self._settings.token)
        self._control = await asyncio.start_server(control.serve, *self._settings.control)
        self.control_address = self._control.sockets[0].getsockname()[:2]

    def stop(self) -> None:
        self.faults.close()
        for relay in self.relays.values():
            relay.stop()
        if self._control is not None:
            self._control.close()

    def _apply(self, listener: str) -> None:
        self.relays[listener].set_faults(self.faults.of_listener(listener))


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        OSError: an address is taken, or not of this machine.
    """
    proxy = Proxy(settings)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await proxy.start()
        for name, relay in proxy.relays.items():
            sys.stdout.write(f"{name} leads to {relay.upstream}\n")
        sys.stdout.write("Control API on http://{}:{}\n".format(*proxy.control_address))
        sys.stdout.flush()
        await stopped.wait()
    finally:
        proxy.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fault_proxy", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """The exit code: 2 where the settings make no sense, 1 where an address cannot be had."""
    try:
        asyncio.run(serve(read_settings(options)))
    except SettingError as error:
        sys.stderr.write(f"fault_proxy: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"fault_proxy: {error}\n")
        return 1
    return 0
