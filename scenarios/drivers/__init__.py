"""The kinds of steps. A site names its drivers in a setting, as dotted paths."""

from collections.abc import Iterable
from importlib import import_module

from pydantic import BaseModel

from scenarios.ports import Driver


class DriverNotLoaded(ImportError):  # noqa: N818 - a state, as in Django's ImproperlyConfigured
    """A dotted path in the settings leads to no driver."""


def load_drivers(paths: Iterable[str]) -> dict[str, Driver]:
    """A driver of each class, by its name.

    Raises:
        DriverNotLoaded: a path leads to no driver, or two of them have the same name.
    """
    drivers: dict[str, Driver] = {}
    for path in paths:
        driver = _load(path)
        if (other := drivers.get(driver.name)) is not None:
            raise DriverNotLoaded(
                f"{path!r} is a second driver named {driver.name!r}, beside "
                f"{type(other).__module__}.{type(other).__qualname__}: give one of them another name"
            )
        drivers[driver.name] = driver
    return drivers


def _load(path: str) -> Driver:
    module_name, _, class_name = path.rpartition(".")
    if not module_name or not class_name:
        raise DriverNotLoaded(f"{path!r} is no dotted path: write it as 'scenarios.drivers.http.Http'")
    try:
        module = import_module(module_name)
    except (ImportError, ValueError) as error:
        raise DriverNotLoaded(
            f"{path!r} cannot be imported: {error}; is it installed, is it spelt so?"
        ) from error
    driver_class = getattr(module, class_name, None)
    if not isinstance(driver_class, type):
        raise DriverNotLoaded(f"{path!r} names no class: {module_name!r} has no class {class_name!r}")
    if lacking := [word for word in ("name", "Arguments", "probe", "act") if not hasattr(driver_class, word)]:
        raise DriverNotLoaded(
            f"{path!r} is no driver: it lacks {', '.join(lacking)}; see scenarios.ports.Driver"
        )
    driver: Driver = driver_class()
    if not isinstance(driver.name, str) or not driver.name:
        raise DriverNotLoaded(
            f"{path!r} has the name {driver.name!r}: a driver's name is the word of its steps"
        )
    if not (isinstance(driver.Arguments, type) and issubclass(driver.Arguments, BaseModel)):
        raise DriverNotLoaded(
            f"{path!r} declares its Arguments as {driver.Arguments!r}: a pydantic model is needed"
        )
    return driver
