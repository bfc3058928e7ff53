"""`manage.py set_up_demo`: stores the shipped scenarios, and registers the demo services that they break."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from coordinator_site.demo_system import Addresses, import_catalogue, register_services, save_demo_suite
from scenarios.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    help = "Stores the shipped scenarios, and registers demo services. 'manage.py up' does both by itself."
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        what = "Default: %(default)s, its address in compose.demo.yaml."
        parser.add_argument("--exchange", default="http://exchange:8081", metavar="URL", help=what)
        parser.add_argument("--risk-monitor", default="http://risk-monitor:8082", metavar="URL", help=what)
        parser.add_argument("--price-feed", default="http://price-feed:8083", metavar="URL", help=what)
        parser.add_argument(
            "--proxy",
            default="http://price-feed-proxy:8474",
            metavar="URL",
            help=f"The control API of the price feed's fault proxy. {what}",
        )

    def handle(
        self,
        *_arguments: Any,
        exchange: str,
        risk_monitor: str,
        price_feed: str,
        proxy: str,
        **_options: Any,
    ) -> None:
        import_catalogue()
        register_services(Addresses(exchange, risk_monitor, price_feed, proxy))
        save_demo_suite()
        self.stdout.write("The demo is set up. Run 'manage.py scenario run dependency-hangs', for example.")
