from django.apps import AppConfig
from django.db.backends.signals import connection_created

from metrics_app import backend, cache, checks, database


class MetricsAppConfig(AppConfig):
    name = "metrics_app"

    def ready(self) -> None:
        checks.register_all()
        connection_created.connect(database.record_connection)
        cache.count_reads_of_all_caches()
        backend.take_over_libraries()
