from django.apps import AppConfig
from django.db.backends.signals import connection_created

from metrics_app import backend, cache, checks, database
from metrics_app.conf import conf


class MetricsAppConfig(AppConfig):
    name = "metrics_app"

    def ready(self) -> None:
        checks.register_all()
        connection_created.connect(database.record_connection)
        cache.count_reads_of_all_caches()
        backend.take_over_libraries()
        watch_what_is_switched_on()


def watch_what_is_switched_on() -> None:
    """Record what the settings ask for besides requests.

    Each module is imported only if it is needed, because it declares its metrics then: a project that has it
    switched off may have metrics with the same names.
    """
    if conf.database:
        from metrics_app import connection_pools, migration_state, model_rows  # noqa: PLC0415 - see above

        database.count_failed_connections()
        connection_pools.watch()
        model_rows.watch()
        migration_state.watch()
    if conf.tasks:
        from metrics_app import task_queues  # noqa: PLC0415 - see above

        task_queues.watch_installed()
    if conf.commands:
        from metrics_app import commands  # noqa: PLC0415 - see above

        commands.watch()
