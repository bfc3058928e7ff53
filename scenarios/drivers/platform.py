"""The platform around a run: the drivers that the settings name, registered services, secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from pydantic import BaseModel

from scenarios.domain import log_context
from scenarios.domain.errors import StepImpossible
from scenarios.drivers.installed import installed_drivers
from scenarios.models import Service


def step_arguments() -> dict[str, type[BaseModel]]:
    """What each kind of step takes, by the driver's name: all that validation needs."""
    return {name: driver.Arguments for name, driver in installed_drivers().items()}


class RegisteredServices:
    """The registered services as they stood when this was made; one short read, no query per step.

    `begun_with` are the addresses that a run found: its faults are where those lead, wherever its services
    are registered by now.
    """

    def __init__(self, begun_with: Mapping[str, str] | None = None) -> None:
        self._addresses = {**dict(Service.objects.values_list("name", "base_url")), **(begun_with or {})}

    def address_of(self, service: str) -> str:
        try:
            return self._addresses[service]
        except KeyError:
            known = ", ".join(sorted(self._addresses)) or "none yet"
            raise StepImpossible(
                f"there is no service {service!r}: known are {known}. Services are registered in the admin."
            ) from None


class ConfiguredSecrets:
    """Read anew each time: a secret that was changed meanwhile is the new one."""

    def secret(self, name: str) -> str:
        """The environment variable of the configured prefix and this name, or else the file of this name.

        Raises:
            StepImpossible: there is neither, or it is empty.
        """
        variable = f"{settings.SCENARIO_SECRET_PREFIX}{name}"
        value = os.environ.get(variable)
        if value is None and settings.SCENARIO_SECRET_DIR is not None:
            value = self._in_file(settings.SCENARIO_SECRET_DIR / name, name)
        if not value:
            state = "missing" if value is None else "empty"
            raise StepImpossible(
                f"the secret {name!r} is {state}: set the environment variable {variable!r}, or put a file "
                f"{name!r} into SCENARIO_SECRET_DIR"
            )
        log_context.redactor.learn(value)
        return value

    def _in_file(self, path: Path, name: str) -> str | None:
        try:
            return path.read_text("utf-8").removesuffix("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StepImpossible(f"the secret {name!r} cannot be read: {type(error).__name__}") from None


class SitePlatform(RegisteredServices, ConfiguredSecrets):
    """All that a run's steps may ask about."""
