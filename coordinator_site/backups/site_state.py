"""What the present database shows before it is replaced: who uses it, and which faults are injected."""

from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from coordinator_site import __version__
from coordinator_site.backups.archive import Manifest
from coordinator_site.backups.errors import BackupError
from scenarios.models import Fault, Heartbeat

# A watchdog writes each second, and asks idle workers for a sign each five.
SILENT_AFTER = timedelta(seconds=30)
MAX_SHOWN = 5


def list_migrations() -> list[str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def check_version(manifest: Manifest) -> None:
    """Raises BackupError: the backup is of another kind of database, or of a newer version."""
    if manifest.vendor != connection.vendor:
        raise BackupError(
            f"The backup is of {manifest.vendor}, and DATABASE_URL names {connection.vendor}; "
            "restore it to a database of its own kind."
        )
    loader = MigrationLoader(None, ignore_no_migrations=True)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    own = {app for app, _name in loader.disk_migrations}
    unknown = [name for name in manifest.migrations if name not in known and name.split(".")[0] in own]
    if unknown:
        raise BackupError(
            f"The backup was made by version {manifest.version}, which is newer than {__version__} "
            f"(it has the migration {unknown[0]}); install that version, then restore."
        )


def check_unused() -> None:
    """Raises BackupError: a worker or a watchdog uses the database."""
    try:
        beats = list(Heartbeat.objects.filter(seen_at__gte=timezone.now() - SILENT_AFTER))
    except DatabaseError:  # it has no tables yet
        connection.close()
        return
    if beats:
        raise BackupError(
            f"The {beats[0].name} was seen {_seconds_ago(beats[0])} s ago; stop web servers, workers and "
            "watchdogs, wait half a minute, then restore."
        )


def check_nothing_is_injected() -> None:
    """Raises BackupError: the present ledger has faults that no restored one would know."""
    try:
        faults = list(Fault.objects.outstanding().select_related("run")[: MAX_SHOWN + 1])
    except DatabaseError:
        connection.close()
        return
    if faults:
        named = ", ".join(f"{fault.action!r} of {fault.run.scenario_name}" for fault in faults[:MAX_SHOWN])
        more = " and more" if len(faults) > MAX_SHOWN else ""
        raise BackupError(
            f"Still injected: {named}{more}. The backup may not know of it; undo it first "
            "('manage.py scenario undo RUN'), or give --discard-faults."
        )


def _seconds_ago(beat: Heartbeat) -> int:
    return max(0, round((timezone.now() - beat.seen_at).total_seconds()))
