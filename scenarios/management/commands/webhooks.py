"""`manage.py webhooks`: who is told of runs, and whether they can be reached."""

import asyncio
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios.domain.webhooks import SUBSCRIBABLE, DeliveryState
from scenarios.models import Delivery, Webhook
from scenarios.notifications import deliveries, dispatcher, webhooks

NOT_TAKEN = 1


class Command(BaseCommand):
    help = "Lists, adds and tests webhooks."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="Who is told of what.")
        add = verbs.add_parser("add", help="Add a webhook, and print its secret this one time.")
        add.add_argument("name")
        add.add_argument("url", help="As https://hooks.example.com/runs.")
        add.add_argument("--event", action="append", choices=list(SUBSCRIBABLE), help="Default: every one.")
        add.add_argument("--tag", action="append", default=[], help="Only of scenarios with one of these.")
        test = verbs.add_parser("test", help="Send a test now; 0 where it was taken, else 1.")
        test.add_argument("name", help="The webhook's name.")

    def handle(self, *_arguments: Any, verb: str, **options: Any) -> None:
        console = Console(highlight=False, soft_wrap=True)
        if verb == "list":
            console.print(build_table())
        elif verb == "add":
            self.add(options)
        elif not self.test(console, options["name"]):
            sys.exit(NOT_TAKEN)

    def add(self, options: dict[str, Any]) -> None:
        events = options["event"] or [str(message) for message in SUBSCRIBABLE]
        webhook = Webhook(name=options["name"], url=options["url"], events=events, tags=options["tag"])
        try:
            self.stdout.write(webhooks.validate_and_save_webhook(webhook))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except webhooks.AddressRefused as error:
            raise CommandError(str(error)) from error

    def test(self, console: Console, name: str) -> bool:
        webhook = Webhook.objects.filter(name=name).first()
        if webhook is None:
            raise CommandError(f"There is no webhook {name!r}: 'manage.py webhooks list' shows them.")
        with transaction.atomic():  # claimed before a watchdog can see it
            delivery = webhooks.send_test(webhook)
            deliveries.claim(delivery)
        state = asyncio.run(dispatcher.send(delivery))
        ended = Delivery.objects.get(pk=delivery.pk)
        console.print(
            f"{escape(name)}: answered {ended.status}"
            if state == DeliveryState.DELIVERED
            else f"[red]{escape(name)}: {escape(ended.reason)}[/red]"
        )
        return state == DeliveryState.DELIVERED


def build_table() -> Table:
    table = Table("Name", "Address", "Told of", "State", box=None)
    for webhook in Webhook.objects.all():
        state = "enabled" if webhook.is_enabled else f"disabled {webhook.disabled_because}".rstrip()
        table.add_row(*map(escape, (webhook.name, webhook.url, ", ".join(webhook.events), state)))
    return table
