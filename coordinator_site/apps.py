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
            load_metrics_of_django_rq()


class ControlRoomConfig(admin_apps.AdminConfig):
    """Django's admin as the control room."""

    default = False
    default_site = "scenarios.control_room.site.ControlRoom"


def load_metrics_of_django_rq() -> None:
    """Let django_rq make the metric that it makes when it is imported, before the admin imports it.

    With PROMETHEUS_MULTIPROC_DIR in the environment that metric would leave a file for each process id
    in the directory of the project's own metrics.
    """
    hidden = os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    try:
        importlib.import_module("django_rq.contrib.prometheus")
    finally:
        if hidden is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = hidden
