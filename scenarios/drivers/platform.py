"""The platform of a run: installed drivers, registered services, secrets."""

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
    """The models of the drivers' arguments by driver name, which is all that validation needs."""
    return {name: driver.Arguments for name, driver in installed_drivers().items()}


class RegisteredServices:
    """The registered services at the time of creation: one short query instead of one per step.

    `begun_with`: the addresses at the start of a run. Its faults are there, even if its services are now
    registered elsewhere.
    """

    def __init__(self, begun_with: Mapping[str, str] | None = None) -> None:
        self._addresses = {**dict(Service.objects.values_list("name", "base_url")), **(begun_with or {})}

    def address_of(self, service: str) -> str:
        try:
            return self._addresses[service]
        except KeyError:
            known = ", ".join(sorted(self._addresses)) or "none yet"
            raise StepImpossible(
                f"unknown service {service!r}; registered services: {known}. Register services in the admin."
            ) from None


class ConfiguredSecrets:
    """Read on each use, so that changed secrets take effect."""

    def secret(self, name: str) -> str:
        """The value of the environment variable with the configured prefix, or else of the file of this name.

        Raises:
            StepImpossible: both are missing, or the value is empty.
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
    """Everything that the steps of a run may ask for."""
