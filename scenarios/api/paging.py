"""Lists in pages. A page begins after the last row of the previous one, so that all are equally quick."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from scenarios.api.patterns import WITHOUT_NUL
from scenarios.api.problems import ProblemAt, RefusedError

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
SEPARATOR = "|"
Row = TypeVar("Row", bound=Model)
# PostgreSQL refuses NUL characters; every database refuses half of a surrogate pair.
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=WITHOUT_NUL)]
FLAGS = {"true": True, "false": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*", re.ASCII)


def parse_flag(word: Any) -> Any:
    """Without this check, pydantic would read `1`, `on` and `yes`, too."""
    if not isinstance(word, str):
        return word
    if word not in FLAGS:
        raise ValueError("expected true or false")
    return FLAGS[word]


def check_time_format(value: Any) -> Any:
    """Without this check, pydantic would read a bare number as seconds since 1970."""
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("expected a time by RFC 3339, for example 2026-11-23T21:00:00Z")
    return value


def convert_to_utc(moment: datetime) -> datetime:
    """PostgreSQL refuses offsets of more than 16 hours, which ISO 8601 allows."""
    if moment.tzinfo is None:
        raise ValueError("the offset from UTC is missing; add Z or, for example, +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this time does not exist in UTC") from error


Flag = Annotated[bool, BeforeValidator(parse_flag)]
Time = Annotated[AwareDatetime, BeforeValidator(check_time_format), AfterValidator(convert_to_utc)]


def parse_cursor_time(word: str) -> datetime:
    return convert_to_utc(datetime.fromisoformat(word))


def parse_cursor_name(word: str) -> str:
    if "\0" in word:
        raise ValueError("NUL characters are not allowed")
    return word


class FilterNames(Schema):
    """Selects rows. Unknown filters are refused, because they would select every row."""

    @model_validator(mode="after")
    def refuse_unknown_filters(self, info: ValidationInfo) -> Self:
        request = (info.context or {}).get("request")
        unknown = sorted(set(request.GET) - set(type(self).model_fields)) if request else []
        if unknown:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"unknown filter {unknown[0][:80]!r}; choose one of {known}")
        repeated = [name for name, values in request.GET.lists() if len(values) > 1] if request else []
        if repeated:
            raise ValueError(f"{repeated[0]!r} is given more than once; a filter has one value")
        return self


class Filters(FilterNames):
    """Selects rows, and a page of them."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str = Field(
        "",
        max_length=200,
        description="`next_cursor` of the previous page.",
    )


class NameFilters(Filters):
    name: Text | None = Field(None, description="A part of the name.")

    def select(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        return rows.filter(name__contains=self.name) if self.name else rows


@dataclass(frozen=True, slots=True)
class Order:
    """The fields that a list is sorted by, the last of them unique, and how a cursor writes their values."""

    fields: tuple[str, ...]
    parsers: tuple[Callable[[str], Any], ...]
    descending: bool = False

    def sort(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(f"-{field}" if self.descending else field for field in self.fields))

    def select_after(self, rows: QuerySet[Any], values: Sequence[Any]) -> QuerySet[Any]:
        beyond = "lt" if self.descending else "gt"
        *shared, unique = self.fields
        if not shared:
            return rows.filter(**{f"{unique}__{beyond}": values[0]})
        # Databases use an index on the first field for this form, but not for "a < x or (a = x and b < y)".
        (first,) = shared
        rows = rows.filter(**{f"{first}__{beyond}e": values[0]})
        return rows.exclude(
            **{first: values[0], f"{unique}__{'gte' if self.descending else 'lte'}": values[1]}
        )

    def format_cursor(self, row: Any) -> str:
        words = [getattr(row, field) for field in self.fields]
        text = SEPARATOR.join(word.isoformat() if hasattr(word, "isoformat") else str(word) for word in words)
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def parse_cursor(self, cursor: str) -> list[Any]:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            words = urlsafe_b64decode(padded.encode("ascii")).decode().split(SEPARATOR)
            values = [parse(word) for parse, word in zip(self.parsers, words, strict=True)]
        except (ValueError, OverflowError, binascii.Error) as error:
            raise RefusedError(
                "This cursor belongs to another list.",
                [
                    ProblemAt(
                        path="query.cursor",
                        message=f"invalid cursor {cursor[:80]!r}",
                        hint="use next_cursor of the previous page, with the same filters",
                    )
                ],
            ) from error
        return values


BY_NAME = Order(("name",), (parse_cursor_name,))


def build_page(
    rows: QuerySet[Any], order: Order, filters: Filters, describe: Callable[[Any], Any] = lambda row: row
) -> dict[str, Any]:
    """Return `items` and `next_cursor`, as in every list."""
    if filters.cursor:
        rows = order.select_after(rows, order.parse_cursor(filters.cursor))
    # One row more shows whether there is a next page.
    found = list(order.sort(rows)[: filters.limit + 1])
    items = found[: filters.limit]
    more = len(found) > filters.limit
    return {
        "items": [describe(item) for item in items],
        "next_cursor": order.format_cursor(items[-1]) if more else None,
    }


def add_next_link(request: HttpRequest, response: HttpResponse, cursor: str) -> None:
    """The whole address of the next page, with the same filters: https://www.rfc-editor.org/rfc/rfc8288"""
    parameters = request.GET.copy()
    parameters["cursor"] = cursor
    public = urlsplit(settings.PUBLIC_URL)
    # In production alone, the proxy in front is believed when it says that the caller speaks TLS.
    scheme = public.scheme if public.netloc == request.get_host() else request.scheme
    address = f"{scheme}://{request.get_host()}{request.path}?{parameters.urlencode()}"
    response["Link"] = f'<{address}>; rel="next"'
