"""`manage.py fault_proxy`: what stands before a dependency and breaks it."""

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from injector import program


class Command(BaseCommand):
    help = "Stand before a dependency and have faults: latency, refused and reset connections, and others."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        program.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        if code := program.run(argparse.Namespace(**options)):
            sys.exit(code)
