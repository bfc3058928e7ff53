"""The base class of the language's declarations, and the types of its values.

A driver's `Arguments` may derive from Declaration too. Rules between its keys are then reported together
with all other errors, while pydantic's own model validators run only once every field is valid.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from scenarios.domain.durations import DURATION_PATTERN, parse_duration
from scenarios.domain.sizes import PERCENT_PATTERN, parse_share

# The types of the errors that `relations` finds: they are reported at the key, not at its value. The JSON
# Schema knows the rules of misfits, too.
RELATION = "relation"
MISFIT = "misfit"
# The default of a key that may be left out but is never null. Pydantic does not check defaults, so a null in
# the document (`undo:` with nothing after it) is refused instead of being read as absence.
ABSENT: Any = None
DNS_LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
MAX_NAME_LENGTH = 200
# Per declaration: nobody reads more, and finding them takes time.
_MAX_RELATIONS = 200


class MistakeLimit:
    """How many mistakes a validation still looks for: nobody reads thousands, and finding them takes time.

    Used as the context of a validation. A mistake counts once for each declaration around it.
    """

    def __init__(self, mistakes: int) -> None:
        self._left = mistakes

    def note(self, mistakes: int) -> None:
        self._left -= mistakes

    @property
    def is_over(self) -> bool:
        return self._left <= 0


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A broken rule inside a declaration; `path` leads there from the declaration.

    `beside` is the path of the value that contradicts it; the message names its line.
    """

    path: tuple[str | int, ...]
    sentence: str
    hint: str = ""
    beside: tuple[str | int, ...] = ()
    kind: str = RELATION


class Declaration(BaseModel):
    """Strict and closed: no conversions, no unknown keys.

    `Returns` of a driver's arguments declares the fields that its steps return (see results.py).
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    Returns: ClassVar[type[BaseModel] | None] = None

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        """Yield the key and a sentence for each broken rule between keys; '' stands for the whole mapping.

        The values are not checked yet: they may have any type, or be templates.
        """
        del values
        yield from ()

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        del params
        return cls.__name__

    @model_validator(mode="wrap")
    @classmethod
    def _with_relations(cls, data: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        if isinstance(info.context, MistakeLimit) and info.context.is_over:
            return cls.model_construct()  # the document is refused anyway
        try:
            return cls._checked(data, handler)
        except ValidationError as error:
            if isinstance(info.context, MistakeLimit):
                info.context.note(error.error_count())
            raise

    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        own = _find_relation_errors(cls, data) if isinstance(data, Mapping) else []
        try:
            valid = handler(data)
        except ValidationError as error:
            if not own:
                raise
            raise ValidationError.from_exception_data(cls.__name__, [*_list_details(error), *own]) from error
        if own:
            raise ValidationError.from_exception_data(cls.__name__, own)
        return valid


def _find_relation_errors(declaration: type[Declaration], data: Mapping[str, Any]) -> list[InitErrorDetails]:
    broken = islice(declaration.relations(data), _MAX_RELATIONS)
    return [_build_relation_error(relation, data) for relation in broken]


def _build_relation_error(found: tuple[str, str] | BrokenRule, data: Mapping[str, Any]) -> InitErrorDetails:
    if not isinstance(found, BrokenRule):
        key, sentence = found
        found = BrokenRule((key,) if key else (), sentence)
    value: Any = data
    for part in found.path:
        value = value[part]
    context = {
        "sentence": found.sentence,
        "hint": found.hint,
        "beside": found.beside,
        "depth": len(found.path),
    }
    kind = PydanticCustomError(found.kind, "{sentence}", context)
    return InitErrorDetails(type=kind, loc=found.path, input=value)


def _list_details(error: ValidationError) -> list[InitErrorDetails]:
    return [_build_detail(found) for found in error.errors(include_url=False)]


def _build_detail(found: Any) -> InitErrorDetails:
    # Pydantic can rebuild its own errors from their type and context, but not those of validators. So each
    # becomes a custom error with its former type and context.
    context = dict(found.get("ctx", {}))
    context.setdefault("sentence", found["msg"])
    kind = PydanticCustomError(found["type"], "{sentence}", context)
    return InitErrorDetails(type=kind, loc=found["loc"], input=found["input"])


def _parse_seconds(value: object) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{sentence}", {"sentence": str(error)}) from error


def _check_positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("'0s' is not allowed here: the duration must be greater than zero")
    return seconds


# Emoji, Persian and Hindi are written with them. Python counts them as not printable, as it does the marks
# that turn the direction of the text around, which stay refused: they make a name look like another one.
_WITHOUT_JOINERS = {ord("\u200c"): None, ord("\u200d"): None}


def _check_name(text: str) -> str:
    seen = text.translate(_WITHOUT_JOINERS)
    if not seen.strip():
        raise ValueError(f"{text!r} is empty: write a name")
    if len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"{text[:40]!r}… is too long: a name has at most {MAX_NAME_LENGTH} characters")
    if not seen.isprintable():
        raise ValueError(
            f"{text!r} contains a line break or another control character: a name is one printable line"
        )
    return text


def check_dns_label(text: str) -> str:
    if re.fullmatch(DNS_LABEL_PATTERN.strip("^$"), text):
        return text
    rule = "use a-z, 0-9 and '-' (not at the ends), at most 63 characters"
    raise ValueError(f"{text[:80]!r} is not a DNS label: {rule}, for example 'exchange-latency'")


def _accept_whole_float(value: Any) -> Any:
    """Accept 5.0 as a whole number, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def use_any_of(schema: dict[str, Any]) -> None:
    """For a value that is a mapping or a flag.

    The members exclude each other by type; the JSON Schema of the language knows `anyOf`.
    """
    schema["anyOf"] = schema.pop("oneOf")


def choose_member(value: Any) -> str:
    return "mapping" if isinstance(value, Mapping | Declaration) else "flag"


# Written after an integer's limits: before them, the limits would be missing from the JSON Schema.
WHOLE = BeforeValidator(_accept_whole_float)
DURATION_SCHEMA = {"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "2s", "1h30m"]}
Duration = Annotated[float, BeforeValidator(_parse_seconds), WithJsonSchema(DURATION_SCHEMA)]
PositiveDuration = Annotated[
    float, BeforeValidator(_parse_seconds), AfterValidator(_check_positive), WithJsonSchema(DURATION_SCHEMA)
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "maximum": 1,
            "pattern": PERCENT_PATTERN,
            "examples": [0.2, "20%"],
        }
    ),
]
Name = Annotated[
    str,
    AfterValidator(_check_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}),
]
Text = Annotated[str, Field(max_length=10_000)]
