"""The drivers of steps. A site lists its drivers as dotted paths in a setting."""

from collections.abc import Iterable
from importlib import import_module

from pydantic import BaseModel

from scenarios.ports import Driver

STEP_DRIVER_WORDS = ("name", "Arguments", "probe", "act")
FAULT_DRIVER_WORDS = (
    "name",
    "FaultArguments",
    "is_leased",
    "choose_target",
    "inject",
    "renew",
    "remove",
    "is_present",
)


class DriverNotLoaded(ImportError):  # noqa: N818 - a state, as in Django's ImproperlyConfigured
    """A dotted path in the settings does not lead to a driver."""


def load_drivers(paths: Iterable[str]) -> dict[str, Driver]:
    """Create a driver of each class, and return them by name.

    Raises:
        DriverNotLoaded: a path does not lead to a driver, or two drivers have the same name.
    """
    drivers: dict[str, Driver] = {}
    for path in paths:
        driver = _load(path)
        if (other := drivers.get(driver.name)) is not None:
            raise DriverNotLoaded(
                f"{path!r} and '{type(other).__module__}.{type(other).__qualname__}' are both named "
                f"{driver.name!r}: rename one of them"
            )
        drivers[driver.name] = driver
    return drivers


def _load(path: str) -> Driver:
    module_name, _, class_name = path.rpartition(".")
    if not module_name or not class_name:
        raise DriverNotLoaded(f"{path!r} is not a dotted path: write it like 'scenarios.drivers.http.Http'")
    try:
        module = import_module(module_name)
    except (ImportError, ValueError) as error:
        raise DriverNotLoaded(
            f"{path!r} cannot be imported: {error}; check that it is installed and spelled correctly"
        ) from error
    driver_class = getattr(module, class_name, None)
    if not isinstance(driver_class, type):
        raise DriverNotLoaded(f"{path!r} is not a class: {module_name!r} has no class {class_name!r}")
    is_fault_driver = hasattr(driver_class, "FaultArguments")
    words = FAULT_DRIVER_WORDS if is_fault_driver else STEP_DRIVER_WORDS
    if lacking := [word for word in words if not hasattr(driver_class, word)]:
        kind = "FaultDriver" if is_fault_driver else "Driver"
        raise DriverNotLoaded(
            f"{path!r} is not a driver: it lacks {', '.join(lacking)}; see scenarios.ports.{kind}"
        )
    driver: Driver = driver_class()
    if not isinstance(driver.name, str) or not driver.name:
        raise DriverNotLoaded(
            f"{path!r} has the name {driver.name!r}: the name must be the text that steps use as a key"
        )
    for word in ("Arguments", "FaultArguments"):
        declared = getattr(driver, word, None)
        is_model = isinstance(declared, type) and issubclass(declared, BaseModel)
        if hasattr(driver, word) and not is_model:
            raise DriverNotLoaded(f"{path!r} has {word} {declared!r}: they must be a pydantic model")
    return driver
