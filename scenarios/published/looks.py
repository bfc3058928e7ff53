"""The stored looks of a run's validations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Max, Sum

from scenarios.domain.garbage_collection import postpone_collection
from scenarios.domain.looks import Look
from scenarios.models import LookChunk, Run

_MILLISECONDS, _MICROSECONDS = 1_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Watched:
    """The validation that looks are of. `about` is the service that it probes, or else its driver;
    `compared` names the number that is the looks' `value`.
    """

    phase: str
    validation: str
    about: str = ""
    compared: str = ""


@dataclass(slots=True)
class ValidationLooks:
    """All kept looks of one validation, in their order."""

    watched: Watched
    looks: list[Look] = field(default_factory=list)


def read_looks(run: Run, *, phase: str = "", validation: str = "") -> list[ValidationLooks]:
    """The looks of each validation, by first look; only of those with this phase and name, if given."""
    names = {"phase": phase, "validation": validation}
    rows = LookChunk.objects.filter(run=run, **{name: text for name, text in names.items() if text})
    found: dict[tuple[str, str], ValidationLooks] = {}
    with postpone_collection():
        for row in rows.order_by("attempt", "series", "number"):
            watched = Watched(row.phase, row.validation, row.about, row.compared)
            kept = found.setdefault((row.phase, row.validation), ValidationLooks(watched))
            kept.looks += decode_looks(row.content)
    return list(found.values())


def find_looks_version(run: Run) -> str:
    """A text that differs when the stored looks do."""
    sums = LookChunk.objects.filter(run=run).aggregate(rows=Count("id"), looks=Sum("count"), newest=Max("id"))
    return "-".join(str(sums[name] or 0) for name in ("rows", "looks", "newest"))


def encode_looks(looks: Sequence[Look]) -> str:
    """JSON by column: milliseconds from the first look, microseconds, a digit for each, and the values.

    A few characters for each look, in any encoding of a database.
    """
    begin = round(looks[0].at * _MILLISECONDS)
    columns = {
        "begin": begin,
        "at": [round(look.at * _MILLISECONDS) - begin for look in looks],
        "elapsed": [round(look.elapsed * _MICROSECONDS) for look in looks],
        "holds": "".join("1" if look.holds else "0" for look in looks),
    }
    if any(look.value is not None for look in looks):
        columns["value"] = [None if look.value is None else float(f"{look.value:.6g}") for look in looks]
    return json.dumps(columns, separators=(",", ":"))


def decode_looks(content: str) -> list[Look]:
    columns = json.loads(content)
    begin, moments = columns["begin"], columns["at"]
    values = columns.get("value", [None] * len(moments))
    return [
        Look((begin + at) / _MILLISECONDS, holds == "1", elapsed / _MICROSECONDS, value)
        for at, holds, elapsed, value in zip(
            moments, columns["holds"], columns["elapsed"], values, strict=True
        )
    ]
