"""`manage.py demo_service exchange --port 8081`: a service that scenarios break."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from coordinator_site.demo_service import serve
from scenarios.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    help = "Serves a small service with chaos endpoints, in memory."
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=["exchange", "risk-monitor"])
        parser.add_argument("--port", type=int, required=True)
        parser.add_argument(
            "--host", default="127.0.0.1", help="Default: %(default)s, for this machine only."
        )
        parser.add_argument(
            "--watches", default="", help="Base URL of the exchange that a risk monitor watches."
        )

        parser.add_argument("--prices", default="", help="Base URL of the feed of an exchange's prices.")

    def handle(
        self,
        *_arguments: Any,
        name: str,
        host: str,
        port: int,
        watches: str,
        prices: str,
        **_options: Any,
    ) -> None:
        try:
            serve(name, host=host, port=port, watches=watches, prices=prices)
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used ({error.strerror}); choose another with --port."
            ) from error
