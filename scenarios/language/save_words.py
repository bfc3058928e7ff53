"""The word `save` of actions and validations, and where `${saved.NAME}` may stand."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from scenarios.domain.declarations import ABSENT, BrokenRule
from scenarios.domain.json_queries import compile_query
from scenarios.domain.matchers import format_value
from scenarios.domain.results import read_returned_fields
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import VARIABLE_NAME, is_templated

# Of one step; a document has at most as many as patterns and JSONPaths.
MAX_SAVED = 20
_NAME = re.compile(VARIABLE_NAME)

Save = Annotated[
    dict[str, str],
    Field(
        min_length=1,
        max_length=MAX_SAVED,
        json_schema_extra={"propertyNames": {"pattern": f"^{VARIABLE_NAME}$"}},
    ),
]
NO_SAVE: Any = Field(ABSENT)


def find_save_problems(
    save: Any, drivers: Mapping[str, type[BaseModel]], step: Any, *, word: str = "save"
) -> Iterator[BrokenRule]:
    """Yield what cannot be saved from the answer of this step."""
    named = [name for name in step if name in drivers] if isinstance(step, Mapping) else []
    driver = named[0] if len(named) == 1 else ""
    returned = read_returned_fields(drivers[driver]) if driver else None
    for name, source in save.items() if isinstance(save, Mapping) else ():
        if not _NAME.fullmatch(str(name)):
            rule = f"{format_value(name)} is not a name for a saved value"
            hint = "use letters, digits, '_' and '-', and begin with a letter"
            yield BrokenRule((word, name), rule, hint)
        if isinstance(source, str) and not is_templated(source):
            yield from _check_source((word, name), source, driver, returned)


def _check_source(
    path: tuple[str, ...], source: str, driver: str, returned: Mapping[str, Any] | None
) -> Iterator[BrokenRule]:
    field = "json" if source.startswith("$") else source
    if field == "json" and source != "json":
        try:
            compile_query(source)
        except ValueError as error:
            yield BrokenRule(path, str(error))
            return
    if returned is not None and field not in returned:
        fields = ", ".join(returned)
        rule = f"{driver!r} does not return {format_value(field)}; it returns {fields}"
        yield BrokenRule(path, rule, suggest(field, list(returned)) or "or write a JSONPath such as '$.id'")
