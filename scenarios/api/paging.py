"""Lists in pages. A page begins behind the last row of the one before: any is as quick as the first."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from django.db.models import QuerySet
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

from scenarios.api.problems import ProblemAt, RefusedError

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
SEPARATOR = "|"
# PostgreSQL takes no NUL character, and no database half of a surrogate pair.
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*", re.ASCII)


def written_as_moment(value: Any) -> Any:
    """Otherwise a bare number would be taken for seconds since 1970."""
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("a moment as RFC 3339 has it, as 2026-11-23T21:00:00Z")
    return value


def in_utc(moment: datetime) -> datetime:
    """PostgreSQL takes no offset of more than 16 hours, which ISO 8601 does."""
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset from UTC is ambiguous")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("there is no such moment in UTC") from error


Moment = Annotated[AwareDatetime, BeforeValidator(written_as_moment), AfterValidator(in_utc)]


def moment_in_cursor(word: str) -> datetime:
    return in_utc(datetime.fromisoformat(word))


def name_in_cursor(word: str) -> str:
    if "\0" in word:
        raise ValueError("PostgreSQL takes no NUL character")
    return word


class Filters(Schema):
    """Which rows, and which page of them. An unknown filter is refused: it would let every row through."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str = Field(
        "",
        max_length=200,
        description="`next_cursor` of the page before.",
    )

    @model_validator(mode="after")
    def only_known(self, info: ValidationInfo) -> Self:
        asked = (info.context or {}).get("request")
        unknown = sorted(set(asked.GET) - set(type(self).model_fields)) if asked else []
        if unknown:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"there is no filter {unknown[0][:80]!r}: there are {known}")
        return self


@dataclass(frozen=True, slots=True)
class Order:
    """The fields that a list is ordered by, the last of them unique; how a cursor names the values."""

    fields: tuple[str, ...]
    parsed: tuple[Callable[[str], Any], ...]
    descending: bool = False

    def ordered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(f"-{field}" if self.descending else field for field in self.fields))

    def after(self, rows: QuerySet[Any], values: Sequence[Any]) -> QuerySet[Any]:
        beyond = "lt" if self.descending else "gt"
        *shared, unique = self.fields
        if not shared:
            return rows.filter(**{f"{unique}__{beyond}": values[0]})
        # In this form, and not as "a < x or (a = x and b < y)", an index on the first field is used.
        (first,) = shared
        rows = rows.filter(**{f"{first}__{beyond}e": values[0]})
        return rows.exclude(
            **{first: values[0], f"{unique}__{'gte' if self.descending else 'lte'}": values[1]}
        )

    def cursor_at(self, row: Any) -> str:
        words = [getattr(row, field) for field in self.fields]
        text = SEPARATOR.join(word.isoformat() if hasattr(word, "isoformat") else str(word) for word in words)
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> list[Any]:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            words = urlsafe_b64decode(padded.encode("ascii")).decode().split(SEPARATOR)
            values = [parse(word) for parse, word in zip(self.parsed, words, strict=True)]
        except (ValueError, OverflowError, binascii.Error) as error:
            raise RefusedError(
                "The cursor is none of this list's.",
                [
                    ProblemAt(
                        path="query.cursor",
                        message=f"{cursor[:80]!r} is no cursor",
                        hint="take the next_cursor of the page before, and the same filters",
                    )
                ],
            ) from error
        return values


def page_of(
    rows: QuerySet[Any], order: Order, filters: Filters, describe: Callable[[Any], Any] = lambda row: row
) -> dict[str, Any]:
    """`items` and `next_cursor`, as every list answers."""
    if filters.cursor:
        rows = order.after(rows, order.read(filters.cursor))
    # One more than is asked for tells whether there is a next page.
    found = list(order.ordered(rows)[: filters.limit + 1])
    items = found[: filters.limit]
    more = len(found) > filters.limit
    return {
        "items": [describe(item) for item in items],
        "next_cursor": order.cursor_at(items[-1]) if more else None,
    }
