"""Exposes the metrics of a host on which task workers run, but no web server."""

import errno
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metrics_app.scrape_server import PATH, ScrapeServer

MAX_PORT = 65535


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, required=True)
        parser.add_argument("--address", default="127.0.0.1", help="'0.0.0.0' for every network of the host")

    def handle(self, *_: Any, port: int, address: str, **__: Any) -> None:
        with _server(address, port) as server:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit())
            host = f"[{address}]" if ":" in address else address
            self.stdout.write(f"Metrics are at http://{host}:{port}{PATH}")
            self.stdout.flush()
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("")


def _server(address: str, port: int) -> ScrapeServer:
    if not 1 <= port <= MAX_PORT:
        raise CommandError(f"--port={port!r} is not a port: use a whole number from 1 to {MAX_PORT}.")
    try:
        return ScrapeServer(address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"--port={port!r} is taken on {address}: another process listens there; choose another port."
            ) from error
        raise CommandError(
            f"--address={address!r} and --port={port!r} cannot be listened on ({error.strerror}): the "
            f"address must be one of this host, and ports below 1024 need a privilege."
        ) from error
