"""System checks: misconfiguration fails at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from scenarios.drivers import load_drivers


def check_drivers(**_options: Any) -> list[CheckMessage]:
    try:
        load_drivers(settings.SCENARIO_DRIVERS)
    except (ImportError, ValueError, TypeError) as error:
        hint = "EXTRA_SCENARIO_DRIVERS lists dotted paths of classes, as 'mysite.drivers.Queue'."
        return [Error(str(error), hint=hint, id="scenarios.E001")]
    return []
