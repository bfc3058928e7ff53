"""`manage.py webhooks …`: lists, adds and tests webhooks."""

import asyncio
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenarios.checks import BEFORE_COMMANDS
from scenarios.domain.webhooks import SUBSCRIBABLE, DeliveryState, WebhookKind
from scenarios.models import Delivery, Webhook
from scenarios.notifications import deliveries, dispatcher, webhooks
from scenarios.notifications.addresses import ReceiverRefused, list_usable_events

NOT_ACCEPTED = 1


class Command(BaseCommand):
    help = "List, add and test webhooks."
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="List the webhooks.")
        add = verbs.add_parser("add", help="Add a webhook and print its secret, which is not shown again.")
        add.add_argument("name")
        add.add_argument("url", help="Such as https://hooks.example.com/runs or mailto:oncall@example.com.")
        add.add_argument(
            "--kind",
            choices=list(WebhookKind),
            default=WebhookKind.WEBHOOK,
            help="What the receiver understands.",
        )
        add.add_argument(
            "--key", default="", help="The routing key, only for PagerDuty; write '${secret:NAME}'."
        )
        add.add_argument(
            "--event",
            action="append",
            choices=[str(message) for message in SUBSCRIBABLE],
            help="Send only this message; can be repeated (default: all).",
        )
        add.add_argument(
            "--tag",
            action="append",
            default=[],
            help="Send only for scenarios with this tag; can be repeated.",
        )
        test = verbs.add_parser(
            "test", help="Send a test message now. Exits with 0 if the receiver accepted it, else with 1."
        )
        test.add_argument("name", help="The webhook's name.")

    def handle(self, *_arguments: Any, verb: str, **options: Any) -> None:
        console = Console(highlight=False, soft_wrap=True)
        if verb == "list":
            console.print(build_table())
        elif verb == "add":
            self.add(options)
        elif not self.test(console, options["name"]):
            sys.exit(NOT_ACCEPTED)

    def add(self, options: dict[str, Any]) -> None:
        usable = list_usable_events(options["kind"])
        events = options["event"] or [str(message) for message in SUBSCRIBABLE if message in usable]
        kept = {name: options[name] for name in ("name", "kind", "url", "key")}
        webhook = Webhook(**kept, events=events, tags=options["tag"])
        try:
            secret = webhooks.validate_and_save_webhook(webhook)
            self.stdout.write(secret or f"Webhook {webhook.name!r} is added.")
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except ReceiverRefused as error:
            raise CommandError(str(error)) from error

    def test(self, console: Console, name: str) -> bool:
        webhook = Webhook.objects.filter(name=name).first()
        if webhook is None:
            raise CommandError(f"There is no webhook {name!r}; 'manage.py webhooks list' shows all.")
        with transaction.atomic():  # claimed before a watchdog sees it
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
    table = Table("Name", "Address", "Messages", "State", box=None)
    for webhook in Webhook.objects.all():
        state = (
            "enabled"
            if webhook.is_enabled
            else ": ".join(filter(None, ("disabled", webhook.disabled_because)))
        )
        table.add_row(*map(escape, (webhook.name, webhook.url, ", ".join(webhook.events), state)))
    return table
