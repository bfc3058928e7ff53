"""`manage.py backup FILE`: a copy of everything that is stored, while everything runs."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from coordinator_site import __version__
from coordinator_site.backups import postgresql_copy, site_state, sqlite_copy
from coordinator_site.backups.archive import FORMAT, Manifest, write_archive
from coordinator_site.backups.errors import BackupError
from scenarios.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    help = (
        "Write the database and the key of its secrets to one file. It is consistent while runs are carried "
        "out. The file contains secrets: only its owner can read it."
    )
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="As coordinator-2026-01-31.backup.")
        parser.add_argument("--replace", action="store_true", help="Replace the file if it exists.")

    def handle(self, *_arguments: Any, file: Path, replace: bool, **_options: Any) -> None:
        if file.is_dir() or (file.exists() and not replace):
            raise CommandError(f"{file} already exists; choose another name, or give --replace.")
        try:
            write_backup(file)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{file}: {file.stat().st_size / 2**20:.1f} MiB.")


def write_backup(file: Path) -> None:
    with TemporaryDirectory(dir=file.absolute().parent, prefix=".backup-") as folder:
        database = Path(folder) / "database"
        migrations = site_state.list_migrations()
        copy = postgresql_copy if connection.vendor == "postgresql" else sqlite_copy
        copy.copy_to(database, connection.settings_dict)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = Manifest(FORMAT, __version__, connection.vendor, now, migrations)
        write_archive(file, manifest, database, settings.SECRET_KEY)
