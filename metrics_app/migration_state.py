"""Migrations applied and pending, read at each scrape if the setting DATABASE asks for them."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from metrics_app import metrics
from metrics_app.conf import conf
from metrics_app.ports import GaugeSample
from metrics_app.store_schemes import MIGRATIONS_APPLIED, MIGRATIONS_UNAPPLIED

applied = metrics.gauge("database_migrations_applied", "Migrations that the database has.", ("alias",))
pending = metrics.gauge(
    "database_migrations_pending", "Migrations of the installed apps that the database lacks.", ("alias",)
)

_is_watching = False


def watch() -> None:
    """Read them from now on. Calling it twice changes nothing."""
    global _is_watching  # noqa: PLW0603 - one per process
    if not _is_watching:
        _is_watching = True
        metrics.read_at_scrape(read)


def read() -> Iterator[GaugeSample]:
    """A database other than the default one counts if `migrate` has been run on it."""
    if not conf.database:
        return
    names = set(find_on_disk())
    for alias in connections:
        recorder = MigrationRecorder(connections[alias])
        if alias != DEFAULT_DB_ALIAS and not recorder.has_table():
            continue
        found = set(recorder.applied_migrations())
        if conf.names == "django-prometheus":
            yield GaugeSample(MIGRATIONS_APPLIED, {"connection": alias}, len(found))
            yield GaugeSample(MIGRATIONS_UNAPPLIED, {"connection": alias}, len(names - found))
            continue
        yield applied.sample(len(found & names), alias=alias)
        yield pending.sample(len(names - found), alias=alias)


def find_on_disk() -> Iterator[tuple[str, str]]:
    """The app's label and the name of each migration; by file names, because importing all takes long."""
    for app in apps.get_app_configs():
        package, _ = MigrationLoader.migrations_module(app.label)
        if package is None:
            continue
        try:
            module = import_module(package)
        except ModuleNotFoundError:
            continue  # the app has no migrations
        for migration in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not migration.ispkg and migration.name[0] not in "_~":
                yield app.label, migration.name
