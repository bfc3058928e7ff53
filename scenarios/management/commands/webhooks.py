"""`manage.py webhooks`: who is told of runs, and whether they can be reached."""

import asyncio
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios import deliveries, dispatch, webhooks
from scenarios.domain.webhooks import DeliveryState
from scenarios.models import Delivery, Webhook

NOT_TAKEN = 1


class Command(BaseCommand):
    help = "Lists webhooks and tests them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="Who is told of what.")
        test = verbs.add_parser("test", help="Send a test now; 0 where it was taken, else 1.")
        test.add_argument("name", help="The webhook's name.")

    def handle(self, *_arguments: Any, verb: str, **options: Any) -> None:
        console = Console(highlight=False, soft_wrap=True)
        if verb == "list":
            console.print(table_of_webhooks())
        elif not self.test(console, options["name"]):
            sys.exit(NOT_TAKEN)

    def test(self, console: Console, name: str) -> bool:
        webhook = Webhook.objects.filter(name=name).first()
        if webhook is None:
            raise CommandError(f"There is no webhook {name!r}: 'manage.py webhooks list' shows them.")
        with transaction.atomic():  # claimed before a watchdog can see it
            delivery = webhooks.send_test(webhook)
            deliveries.claim(delivery)
        state = asyncio.run(dispatch.send(delivery))
        ended = Delivery.objects.get(pk=delivery.pk)
        console.print(
            f"{escape(name)}: answered {ended.status}"
            if state == DeliveryState.DELIVERED
            else f"[red]{escape(name)}: {escape(ended.reason)}[/red]"
        )
        return state == DeliveryState.DELIVERED


def table_of_webhooks() -> Table:
    table = Table("Name", "Address", "Told of", "State", box=None)
    for webhook in Webhook.objects.all():
        state = "enabled" if webhook.is_enabled else f"disabled {webhook.disabled_because}".rstrip()
        table.add_row(*map(escape, (webhook.name, webhook.url, ", ".join(webhook.events), state)))
    return table
