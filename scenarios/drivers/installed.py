"""The drivers that are listed in the settings."""

from collections.abc import Mapping
from functools import lru_cache

from django.conf import settings

from scenarios.domain.plan import Action
from scenarios.drivers import load_drivers
from scenarios.ports import Driver


def installed_drivers() -> Mapping[str, Driver]:
    return _load(tuple(settings.SCENARIO_DRIVERS))


@lru_cache(maxsize=8)
def _load(paths: tuple[str, ...]) -> Mapping[str, Driver]:
    return load_drivers(paths)


def is_leased(action: Action) -> bool:
    """Whether the action's fault ends by itself when nobody renews it."""
    driver = installed_drivers().get(action.do.driver)
    decides = getattr(driver, "is_leased", None) if action.is_driven_fault else None
    return decides is not None and bool(decides(action.do.arguments))


def describe_end(action: Action) -> str:
    """What ends the action's fault if every process of the coordinator is dead."""
    return "ends by itself" if is_leased(action) else "does not end by itself"
