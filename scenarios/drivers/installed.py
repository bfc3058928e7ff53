"""The drivers that are listed in the settings."""

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings

from scenarios.drivers import load_drivers
from scenarios.ports import Driver


def installed_drivers() -> Mapping[str, Driver]:
    return _load(tuple(settings.SCENARIO_DRIVERS))


@lru_cache(maxsize=8)
def _load(paths: tuple[str, ...]) -> Mapping[str, Driver]:
    return load_drivers(paths)
