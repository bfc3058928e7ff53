"""The fields that a driver returns, and whether an expectation can ever match them.

A driver declares its fields once, as `Returns` of its arguments. Validation, JSON Schema, completion and
the reference all use that declaration. Without one, `expect` may name any field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, JsonValue

from scenarios.domain.matchers import LIST_MATCHERS, READ_AS
from scenarios.domain.ranges import UNLIMITED, Range

NUMERIC = frozenset({"integer", "number"})
_COMPARING = ("above", "at_least", "below", "at_most", "between")
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


# For the `json_schema_extra` of a field that every response has.
ALWAYS: Final[dict[str, JsonValue]] = {"always": True}


class Returned(BaseModel):
    """Base class of the models that drivers declare as `Returns`. A response may lack any field."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Kind:
    """The JSON types that a value may have; an empty set means any type.

    `items` is the kind of a list's values, and `range` limits numbers. With `series`, `all`, `any` and
    `count` check every series of a response. With `samples`, text is never a number. If there are `choices`,
    text is one of them.
    """

    types: frozenset[str] = frozenset()
    items: "Kind | None" = None
    series: bool = False
    samples: bool = False
    range: Range = UNLIMITED
    choices: tuple[str, ...] = ()

    def may_be(self, *types: str) -> bool:
        return not self.types or not self.types.isdisjoint(types)

    @property
    def item_kind(self) -> "Kind":
        """The kind of the values that `all` and `any` check."""
        return Kind(self.types, samples=self.samples) if self.series else self.items or ANY

    def __str__(self) -> str:
        return " or ".join(_WORDS[type_name] for type_name in sorted(self.types))


ANY = Kind()
WHOLE_NUMBER = Kind(frozenset({"integer"}), range=Range(low=0))
TEXT = Kind(frozenset({"string"}))
LIST = Kind(frozenset({"array"}))
NUMBER = Kind(NUMERIC)


@dataclass(frozen=True, slots=True)
class Field:
    """`always`: every response has the field."""

    kind: Kind
    description: str = ""
    always: bool = False


@lru_cache(maxsize=256)
def read_returned_fields(arguments: type[BaseModel]) -> Mapping[str, Field] | None:
    """The fields that steps with these arguments return; None if the driver does not declare them."""
    declared = getattr(arguments, "Returns", None)
    if not (isinstance(declared, type) and issubclass(declared, BaseModel)):
        return None
    properties = declared.model_json_schema().get("properties", {})
    return {
        name: Field(_read_kind(schema), schema.get("description", ""), bool(schema.get("always")))
        for name, schema in properties.items()
    }


def _read_kind(schema: Mapping[str, Any]) -> Kind:
    alternatives = [
        alternative for alternative in schema.get("anyOf", [schema]) if isinstance(alternative, Mapping)
    ]
    types: set[str] = set()
    items: Kind | None = None
    for alternative in alternatives:
        written = alternative.get("type")
        if not isinstance(written, str):
            return Kind(series=bool(schema.get("series")))
        types.add(written)
        if isinstance(alternative.get("items"), Mapping):
            items = _read_kind(alternative["items"])
    if "number" in types:
        types.discard("integer")
    return Kind(
        frozenset(types),
        items,
        bool(schema.get("series")),
        bool(schema.get("samples")),
        Range(schema.get("minimum"), schema.get("maximum")),
        tuple(schema.get("enum", ())),
    )


def accepts_matcher(name: str, kind: Kind) -> bool:
    """Whether the matcher holds for some values of the kind and not for others."""
    if name in _COMPARING:
        return kind.may_be(*NUMERIC)
    if name in ("matches", READ_AS):
        return kind.may_be("string")
    if name == "contains":
        return kind.may_be("string", "array", "object")
    if name in LIST_MATCHERS:
        return kind.series or kind.may_be("array")
    return True


def accepts_value(value: Any, kind: Kind) -> bool:
    """Whether a value of this kind may equal `value`."""
    if isinstance(value, bool):
        return kind.may_be("boolean")
    if isinstance(value, int):
        return kind.may_be(*NUMERIC)
    if isinstance(value, float):
        return kind.may_be("number") or (kind.may_be("integer") and value.is_integer())
    if isinstance(value, str):
        return kind.may_be("string")
    if value is None:
        return kind.may_be("null")
    return kind.may_be("array" if isinstance(value, list) else "object")
