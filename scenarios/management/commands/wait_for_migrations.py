"""`manage.py wait_for_migrations`: waits until the database has every migration of this version."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from scenarios.domain.counts import format_count

POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = "Wait until the database has every migration of this version. Migrates nothing itself."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait",
            type=float,
            default=600.0,
            metavar="SECONDS",
            help="How long to wait at most (default: %(default)g).",
        )

    def handle(self, *_arguments: Any, wait: float, **_options: Any) -> None:
        deadline = time.monotonic() + wait
        reported = ""
        while problem := find_problem():
            if problem != reported:
                self.stdout.write(f"Waiting: {problem}.")
                reported = problem
            if time.monotonic() >= deadline:
                raise CommandError(f"{problem} after {wait:g} s: run 'manage.py migrate' of this version")
            time.sleep(POLL_SECONDS)
        self.stdout.write("The database has every migration.")


def find_problem() -> str:
    """What keeps this version from using the database; "" where nothing does."""
    try:
        executor = MigrationExecutor(connection)
        left = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except OperationalError as error:
        connection.close()
        return f"the database cannot be reached ({str(error).strip().splitlines()[0]})"
    if not left:
        return ""
    migration = left[0][0]
    missing = format_count(len(left), "missing migration")
    return f"the database has {missing}, the first of which is {migration.app_label}.{migration.name}"
