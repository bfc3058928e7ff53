"""The word `each` of actions, validations and loads."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, BrokenRule
from scenarios.domain.matchers import format_value
from scenarios.domain.templates import (
    BUILT_IN_NAMES,
    TEMPLATE_PATTERN,
    VARIABLE_NAME,
    format_scalar,
    is_templated,
)

MAX_VALUES = 1_000


_NAME = re.compile(VARIABLE_NAME)


Each = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "propertyNames": {"pattern": f"^{VARIABLE_NAME}$"},
            "additionalProperties": {
                "anyOf": [
                    {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_VALUES,
                        "items": {"type": ["string", "number"]},
                    },
                    {"type": "string", "pattern": TEMPLATE_PATTERN},
                ]
            },
        }
    ),
]


NO_EACH: Any = Field(ABSENT)


def find_each_problems(values: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Yield what is wrong with the `each` of an entry, before variables are filled in."""
    each = values.get("each")
    if not isinstance(each, Mapping):
        return
    if len(each) != 1:
        rule = "'each' takes one name and its list, for example 'each: {host: [a, b]}'"
        yield BrokenRule(("each",), rule, "write a list of the combinations, or several entries")
    for name, listed in each.items():
        if not _NAME.fullmatch(name) or name in BUILT_IN_NAMES:
            rule = f"{format_value(name)} is not a name for the values of 'each'"
            yield BrokenRule(("each", name), rule, "use letters, digits, '_' and '-', and not 'now'")
        elif not is_templated(listed) and (rule := explain_misfit(listed)):
            yield BrokenRule(("each", name), rule)


def explain_misfit(listed: Any) -> str:
    """Why `each` cannot take these values; "" if it can."""
    if not isinstance(listed, list):
        return f"{format_value(listed)} is not a list: 'each' takes a list, or a variable of the type 'list'"
    if not listed:
        return "'each' has an empty list: nothing would be done; use 'when' to leave something out"
    if len(listed) > MAX_VALUES:
        return f"'each' has {len(listed):,} values: at most {MAX_VALUES:,} are allowed"
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return f"'each' lists {format_value(value)}: use text and numbers"
    texts = [format_scalar(value) for value in listed]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        return f"'each' lists {format_value(twice)} twice: the names of the entries must differ"
    return ""
