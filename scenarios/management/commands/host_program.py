"""`manage.py host_program`: the program that a host's forced command runs, as one file."""

from typing import Any

from django.core.management.base import BaseCommand

from injector.host.bundle import build_program


class Command(BaseCommand):
    help = "Write the host program to standard output, as one file to install on a host."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.stdout.write(build_program(), ending="")
