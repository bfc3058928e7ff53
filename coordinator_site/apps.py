import importlib
import os
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib import admin
from django.contrib.admin import apps as admin_apps
from django.contrib.admin import checks as admin_checks
from django.core import checks

from coordinator_site.checks import check_single_sign_on
from scenarios.checks import INSTALLATION


class CoordinatorSiteConfig(AppConfig):
    name = "coordinator_site"
    default = True

    def ready(self) -> None:
        checks.register(check_single_sign_on, INSTALLATION)
        if settings.TASK_BACKEND == "rq":
            import_django_rq_metrics()


class ControlRoomConfig(admin_apps.SimpleAdminConfig):
    """Django's admin as the control room. Its pages are loaded with the addresses, for commands need none."""

    default = False
    default_site = "scenarios.control_room.site.ControlRoom"

    def ready(self) -> None:
        checks.register(admin_checks.check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(**options: Any) -> list[checks.CheckMessage]:
    """Django's checks of the admin, which see only the pages that are loaded."""
    admin.autodiscover()
    found: list[checks.CheckMessage] = admin_checks.check_admin_app(**options)
    return found


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
