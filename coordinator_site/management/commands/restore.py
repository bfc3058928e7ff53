"""`manage.py restore FILE`: what a backup holds becomes the database, whole or not at all."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from coordinator_site.backups import postgresql_copy, site_state, sqlite_copy
from coordinator_site.backups.archive import open_archive
from coordinator_site.backups.errors import BackupError
from scenarios.checks import BEFORE_COMMANDS
from scenarios.models import Fault, Run


class Command(BaseCommand):
    help = (
        "Replace the database with that of a backup, and bring it up to this version. Stop web servers, "
        "workers and watchdogs first."
    )
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--discard-faults",
            action="store_true",
            help="Restore even if the present database has faults that are still injected.",
        )

    def handle(self, *_arguments: Any, file: Path, discard_faults: bool, **_options: Any) -> None:
        try:
            self.restore(file, discard_faults=discard_faults)
        except BackupError as error:
            raise CommandError(f"Nothing was restored. {error}") from error

    def restore(self, file: Path, *, discard_faults: bool) -> None:
        with open_archive(file) as (manifest, database, secret_key):
            site_state.check_version(manifest)
            site_state.check_unused()
            if not discard_faults:
                site_state.check_nothing_is_injected()
            connection.close()
            copy = postgresql_copy if connection.vendor == "postgresql" else sqlite_copy
            copy.copy_from(database, connection.settings_dict)
            call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(
            f"Restored the backup of {manifest.created_at}, made by version {manifest.version}."
        )
        self.tell_what_is_open()
        if secret_key and secret_key != settings.SECRET_KEY:
            self.keep_secret_key(secret_key)

    def tell_what_is_open(self) -> None:
        outstanding = Fault.objects.outstanding().count()
        running = Run.objects.running().count()
        if outstanding or running:
            self.stdout.write(
                f"It has {outstanding} outstanding faults and {running} runs that were under way. Start a "
                "watchdog: it takes them over and undoes what is left."
            )

    def keep_secret_key(self, secret_key: str) -> None:
        """Without it, the secrets of webhooks could not be derived, and nobody would stay logged in."""
        own: Path = settings.DATA_DIR / "secret-key"
        is_generated = own.exists() and own.read_text() == settings.SECRET_KEY
        kept = own if is_generated else settings.DATA_DIR / "restored-secret-key"
        if is_generated:
            own.replace(own.with_name("secret-key.replaced"))
        kept.touch(mode=0o600)
        kept.write_text(secret_key)
        if not is_generated:
            self.stdout.write(
                f"The backup was made with another SECRET_KEY, which is now in {kept}. Set it; otherwise "
                "webhooks need new secrets, and everybody has to log in again."
            )
