"""The words of a step: one driver, with its arguments."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator

from scenarios.domain.declarations import RELATION, BrokenRule, Declaration
from scenarios.domain.templates import has_late_reference

AnyStep = TypeVar("AnyStep")
AnyFault = TypeVar("AnyFault")
STEP_WORDS = frozenset({"probe", "do", "undo", "fault", "request"})


def explain_misplaced_sensitive(driver: str) -> tuple[str, str]:
    """The message and the hint for `sensitive` among a driver's arguments."""
    return f"'sensitive' is not an argument of {driver!r}", f"write 'sensitive: true' beside {driver!r}"


def _ignores_sensitive(arguments: type[BaseModel], values: Any) -> bool:
    """Whether pydantic would silently drop `sensitive`; a model that forbids extra keys reports it."""
    is_lenient = arguments.model_config.get("extra") != "forbid" and "sensitive" not in arguments.model_fields
    return is_lenient and isinstance(values, dict) and "sensitive" in values


class StepWords(Declaration):
    """The name of one driver, with its arguments under it. With `sensitive: true` beside the driver, the
    response is not stored, only whether it met the expectation.
    """

    sensitive: bool = False
    kind: ClassVar[str] = "step"

    @classmethod
    def drivers(cls) -> dict[str, type[BaseModel]]:
        """The models of the drivers' arguments, by the name of the driver."""
        declared = ((field.alias, field.annotation) for field in cls.model_fields.values())
        return {name: arguments for name, arguments in declared if name and isinstance(arguments, type)}

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        arguments = cls.drivers()
        drivers = sorted(arguments)
        named = [name for name in values if name in drivers]
        for name in named:
            if _ignores_sensitive(arguments[name], values[name]):
                yield BrokenRule((name, "sensitive"), *explain_misplaced_sensitive(name))
        if not values.keys() - {"sensitive"}:
            yield "", f"the {cls.kind} has no driver; choose one of {', '.join(drivers) or 'none'}"
        for extra in named[1:]:
            yield (
                extra,
                f"the {cls.kind} has two drivers, {named[0]!r} and {extra!r}; a {cls.kind} takes exactly one",
            )

    @model_validator(mode="wrap")
    @classmethod
    def _excuse_secrets(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Accept a step whose only errors are values with secrets: these are checked when it runs."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(has_late_reference(detail["input"]) and detail["type"] != RELATION for detail in found):
                return cls.model_construct()
            raise


class FaultWords(StepWords):
    """The name of one fault driver, with its arguments under it. The driver injects, removes and verifies the
    fault. Faults that end by themselves do so when nobody renews them any more.
    """

    kind: ClassVar[str] = "fault"
