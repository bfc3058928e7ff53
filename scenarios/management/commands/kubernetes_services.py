"""`manage.py kubernetes_services`: lists the services of a namespace, and the commands that register them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scenarios.checks import BEFORE_COMMANDS
from scenarios.domain.errors import StepFailed
from scenarios.library.cluster_services import list_cluster_services
from scenarios.models import Service


class Command(BaseCommand):
    help = (
        "List the services of a namespace with their addresses in the cluster, and the command that would "
        "register each. Registers nothing."
    )
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--namespace", required=True)
        parser.add_argument("--cluster", help="A context that the settings name (default: the first).")

    def handle(self, *_arguments: Any, namespace: str, cluster: str | None, **_options: Any) -> None:
        try:
            offered = list_cluster_services(namespace, cluster)
        except StepFailed as error:
            raise CommandError(str(error)) from error
        if not offered:
            self.stdout.write(f"The namespace {namespace!r} has no services.")
        for each in offered:
            if each.registered:
                place = Service.objects.get(name=each.registered).base_url
                self.stdout.write(f"# {each.name} is registered already, at {place}")
            else:
                self.stdout.write(f"manage.py scenario service add {each.name} --url {each.url}")
