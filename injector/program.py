"""The fault proxy as a process: `python -m injector --listen … --upstream … --control …`."""

import argparse
import asyncio
import logging
import resource
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from injector.configuration import (
    SettingError,
    Settings,
    add_arguments,
    read_settings,
    read_tokens,
)
from injector.files import sign
from injector.forwarding import ForwardingLoop
from injector.proxy import Proxy

__all__ = ["add_arguments", "main", "run", "start"]

logger = logging.getLogger(__name__)

# Seconds between two looks for changed files of the configuration.
WATCH_SECONDS = 1.0


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT; read the configuration again after SIGHUP or a change of its files.

    Raises:
        OSError: an address is in use, or not of this machine.
        SettingError: the settings make no sense.
    """
    _raise_open_files()
    settings = read_settings(options)
    proxy = Proxy(settings, read_tokens(options.token_file))
    stopped, is_asked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, is_asked.set)
    watching: asyncio.Task[None] | None = None
    try:
        await proxy.start()
        for name, relay in proxy.relays.items():
            sys.stdout.write(f"{name} leads to {relay.upstream}\n")
        sys.stdout.write(f"Control API on {proxy.control_url}\n")
        sys.stdout.flush()
        if options.config or settings.files:
            watching = asyncio.create_task(_watch(proxy, options, settings, is_asked))
        await stopped.wait()
    finally:
        if watching is not None:
            watching.cancel()
        proxy.stop()


def _raise_open_files() -> None:
    """Each connection needs two; many systems allow 1,024 by default, and more on request."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _watch(
    proxy: Proxy, options: argparse.Namespace, settings: Settings, is_asked: asyncio.Event
) -> None:
    """Read the configuration again when it has changed. A broken one is refused; the earlier one stays."""
    seen = _sign(options, settings)
    while True:
        try:
            await asyncio.wait_for(is_asked.wait(), WATCH_SECONDS)
        except TimeoutError:
            if _sign(options, settings) == seen:
                continue
        is_asked.clear()
        # Before it is read, so that a later change is noticed the next time.
        seen = _sign(options, settings)
        try:
            settings = read_settings(options)
            seen = _sign(options, settings)
            await proxy.reload(settings)
        except (SettingError, OSError) as error:
            logger.warning("the configuration stays as it was: %s", error)
        else:
            logger.info("the configuration was read again: %s", ", ".join(proxy.relays))


def _sign(options: argparse.Namespace, settings: Settings) -> list[tuple[int, ...]]:
    """What changes with the files of the configuration."""
    return [sign(path) for path in (options.config, *settings.files) if path is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="fault_proxy", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def start() -> NoReturn:
    """The entry point of a zipapp archive, which ignores what `main` returns."""
    sys.exit(main())


def run(options: argparse.Namespace) -> int:
    """Returns the exit code: 2 if the settings make no sense, 1 if an address cannot be used."""
    try:
        with asyncio.Runner(loop_factory=_find_loop()) as runner:
            runner.run(serve(options))
    except SettingError as error:
        sys.stderr.write(f"fault_proxy: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"fault_proxy: {error}\n")
        return 1
    return 0


def _find_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that passes data on by itself, if the system has epoll."""
    return ForwardingLoop if hasattr(select, "epoll") else None
