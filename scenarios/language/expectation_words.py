"""The declarations of expectations: `expect`, JSONPaths and matchers."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from scenarios.domain.declarations import ABSENT, Declaration
from scenarios.domain.json_queries import compile_query
from scenarios.domain.matchers import LIST_MATCHERS, READ_AS, format_value
from scenarios.domain.patterns import compile_pattern


def _check_pattern(text: str) -> str:
    compile_pattern(text)
    return text


def _build_matchers(wanted: Any) -> Any:
    """Read a plain value as `equals`."""
    return wanted if isinstance(wanted, dict) else {"equals": wanted}


class Matchers(Declaration):
    """If a mapping has several matchers, all must hold. `matches` searches for a regular expression (RE2).

    `all`, `any` and `count` check the values of a list, or every series of a `prometheus` response; without
    any values, `all` and `any` do not hold. `contains` looks for a part of a text, a value of a list or a key
    of a mapping. `as: number` reads text as a number first: `{as: number, below: 50}`.
    """

    as_: Literal["number"] = Field(ABSENT, alias="as")
    equals: Any = None
    not_: Any = Field(ABSENT, alias="not")
    in_: Annotated[list[Any], Field(min_length=1)] = Field(default_factory=list, alias="in")
    not_in: Annotated[list[Any], Field(min_length=1)] = Field(default_factory=list)
    above: float = Field(ABSENT)
    at_least: float = Field(ABSENT)
    below: float = Field(ABSENT)
    at_most: float = Field(ABSENT)
    between: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default_factory=list)
    matches: Annotated[str, AfterValidator(_check_pattern)] = Field(ABSENT)
    contains: Any = None
    exists: bool = Field(ABSENT)
    all_: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT, alias="all")
    any_: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT, alias="any")
    count: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            yield "", "the matcher is empty: write a value, or a matcher such as 'above: 3'"
        if READ_AS in values:
            for name in LIST_MATCHERS.intersection(values):
                yield name, f"'as' and {name!r} cannot be combined: write 'as' under {name!r}"
        limits = values.get("between")
        if isinstance(limits, list) and [type(limit) in {int, float} for limit in limits] == [True, True]:
            low, high = limits
            if low > high:
                yield "between", f"{format_value(limits)} is not a range: the lower limit comes first"


Matcher = Annotated[Matchers, BeforeValidator(_build_matchers)]


class JsonPaths(Declaration, extra="allow"):
    """JSONPaths (RFC 9535) into the returned JSON, and what they must select.

    A singular query, such as `$.status` or `$.nodes[0].name`, returns its value. Any other query, such as
    `$.nodes[*].name`, returns a list, which may have one value or none.
    """

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            yield "", "'json' is empty: write a JSONPath and its value, for example '$.status: ok'"
        for path in values:
            try:
                compile_query(path)
            except ValueError as error:
                yield path, str(error)


class Alternative(Declaration, extra="allow"):
    """The words of [`expect`](#expect), without `any_of`."""

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)
    json_paths: JsonPaths = Field(ABSENT, alias="json")
    headers: Annotated[dict[str, Matcher], Field(min_length=1)] = Field(default_factory=dict)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            yield "", "'expect' is empty: name a field and its value, for example 'status: 200'"


class Expect(Alternative, extra="allow"):
    """The fields that the step's driver returns (see [drivers](#drivers)), and their expected values. `json`
    maps JSONPaths to values, `headers` names of headers. Of several expectations under `any_of`, at least one
    must hold, and the fields beside it.
    """

    any_of: Annotated[list[Alternative], Field(min_length=1)] = Field(ABSENT)
