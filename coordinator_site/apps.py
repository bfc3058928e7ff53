import importlib
import os

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.core import checks

from coordinator_site.checks import check_single_sign_on


class CoordinatorSiteConfig(AppConfig):
    name = "coordinator_site"
    default = True

    def ready(self) -> None:
        checks.register(check_single_sign_on)
        if settings.TASK_BACKEND == "rq":
            import_django_rq_metrics()


class ControlRoomConfig(admin_apps.AdminConfig):
    """Django's admin as the control room."""

    default = False
    default_site = "scenarios.control_room.site.ControlRoom"


def import_django_rq_metrics() -> None:
    """Import django_rq's metrics without PROMETHEUS_MULTIPROC_DIR, before the admin imports them.

    With that variable, the metric that django_rq creates on import would leave a file for each process in the
    directory of this project's own metrics.
    """
    hidden = os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    try:
        importlib.import_module("django_rq.contrib.prometheus")
    finally:
        if hidden is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = hidden
