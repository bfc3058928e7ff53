from django.apps import AppConfig

from metrics_app import checks


class MetricsAppConfig(AppConfig):
    name = "metrics_app"

    def ready(self) -> None:
        checks.register_all()
