"""The versions of a scenario, each with its changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff

from scenarios.models import Scenario, Suite

VERSIONS_PER_PAGE = 20
# By what django-simple-history writes.
CHANGES = {"+": "created", "~": "changed", "-": "deleted"}
KINDS = {"+": "added", "-": "removed", "@": "place"}


@dataclass(frozen=True, slots=True)
class Line:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Version:
    """`key` is the primary key in the history table; `number` counts the scenario's versions from 1; `change`
    is a value of CHANGES.
    """

    key: int
    number: int
    at: datetime
    by: str
    has_present_document: bool
    change: str
    lines: tuple[Line, ...]

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)


def find_version(row: Scenario | Suite, document: str) -> int | None:
    """The number of the newest version with this document; None if no version has it."""
    keys = row.history.filter(document=document).order_by("-history_id").values_list("history_id", flat=True)
    newest = keys.first()
    return None if newest is None else row.history.filter(history_id__lte=newest).count()


def find_present_key(row: Scenario | Suite) -> int | None:
    """The key of the version that is stored now: the newest with its document. A deletion has it, too."""
    rows = row.history.filter(document=row.document).exclude(history_type="-").order_by("-history_id")
    found: int | None = rows.values_list("history_id", flat=True).first()
    return found


def list_versions(scenario: Scenario | Suite, *, before: int | None = None) -> list[Version]:
    """A page of versions, the newest first: those before the version with the key `before`."""
    rows = scenario.history.select_related("history_user").order_by("-history_id")
    if before is not None:
        rows = rows.filter(history_id__lt=before)
    total = rows.count()
    # One version more than is shown, to compare the last one with.
    page = list(rows[: VERSIONS_PER_PAGE + 1])
    versions = []
    for place, row in enumerate(page[:VERSIONS_PER_PAGE]):
        earlier = page[place + 1].document if place + 1 < len(page) else ""
        versions.append(
            Version(
                key=row.history_id,
                number=total - place,
                at=row.history_date,
                by=str(row.history_user or ""),
                has_present_document=row.document == scenario.document,
                change=CHANGES[row.history_type],
                lines=tuple(compare_lines(earlier, row.document)),
            )
        )
    return versions


def compare_lines(earlier: str, later: str) -> Iterator[Line]:
    found = unified_diff(earlier.splitlines(), later.splitlines(), lineterm="", n=2)
    for number, text in enumerate(found):
        if number > 1:  # the first two lines are file names
            yield Line(KINDS.get(text[0], ""), text)
