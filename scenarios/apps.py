from django.apps import AppConfig
from django.core import checks

from metrics_app.backend import register_scrape_gauges
from scenarios.checks import check_drivers, check_outside


class ScenariosConfig(AppConfig):
    name = "scenarios"
    verbose_name = "Control room"

    def ready(self) -> None:
        from scenarios.database_gauges import read_gauges  # noqa: PLC0415 - models are loaded by now, not before

        checks.register(check_drivers)
        checks.register(check_outside)
        register_scrape_gauges(read_gauges)
