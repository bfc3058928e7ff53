"""`manage.py fault_proxy`: what stands before a dependency and breaks it."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from injector import program
from injector.configuration import TOKEN_VARIABLE
from scenarios.models import DEFAULT_PROXY_SECRET


class Command(BaseCommand):
    help = "Run a proxy that injects faults in front of a dependency: latency, refusals and others."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        program.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["token_file"] is None and TOKEN_VARIABLE not in os.environ:
            options["token_file"] = find_kept_token()
        if code := program.run(argparse.Namespace(**options)):
            sys.exit(code)


def find_kept_token() -> Path | None:
    """The secret that the coordinator on this machine sends to fault proxies, where it has one."""
    kept: Path = settings.SCENARIO_SECRET_DIR / DEFAULT_PROXY_SECRET
    return kept if kept.exists() else None
