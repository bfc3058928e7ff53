"""The platform around a run: the drivers that the settings name, and the services that are registered."""

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings
from pydantic import BaseModel

from scenarios.domain.errors import StepImpossible
from scenarios.drivers import load_drivers
from scenarios.models import Service
from scenarios.ports import Driver


def installed_drivers() -> Mapping[str, Driver]:
    return _load(tuple(settings.SCENARIO_DRIVERS))


@lru_cache(maxsize=8)
def _load(paths: tuple[str, ...]) -> Mapping[str, Driver]:
    return load_drivers(paths)


def step_arguments() -> dict[str, type[BaseModel]]:
    """What each kind of step takes, by the driver's name: all that validation needs."""
    return {name: driver.Arguments for name, driver in installed_drivers().items()}


class RegisteredServices:
    """The registered services as they stood when this was made; one short read, no query per step."""

    def __init__(self) -> None:
        self._addresses = dict(Service.objects.values_list("name", "base_url"))

    def address_of(self, service: str) -> str:
        try:
            return self._addresses[service]
        except KeyError:
            known = ", ".join(sorted(self._addresses)) or "none yet"
            raise StepImpossible(
                f"there is no service {service!r}: known are {known}. Services are registered in the admin."
            ) from None
