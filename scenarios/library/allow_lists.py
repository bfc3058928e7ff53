"""Reads and narrows the allow lists of the site; see domain/allow_lists.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from scenarios.access import audit
from scenarios.database.locks import lock_until_commit
from scenarios.domain.allow_lists import SETTINGS, ListName, read_entries, select_allowed
from scenarios.domain.errors import ScenarioError
from scenarios.drivers.allow_lists import find_bound
from scenarios.models import AllowList


class ChangedMeanwhile(ScenarioError):  # noqa: N818 - a state
    """Somebody else has changed the list since it was read."""


@dataclass(frozen=True, slots=True)
class AllowListState:
    """`bound` is what the setting allows, `allowed` what is allowed now. `entries` is None while nobody has
    narrowed the list.
    """

    name: str
    setting: str
    bound: Sequence[str]
    entries: Sequence[str] | None
    allowed: Sequence[str]
    changed_at: datetime | None
    changed_by: str


def make_allow_lists(sender: Any = None, **options: Any) -> None:
    """A row for each list, after `migrate`, so that each has a page and a version."""
    del sender
    rows = AllowList.objects.using(options.get("using", "default"))
    missing = set(ListName) - set(rows.values_list("name", flat=True))
    rows.bulk_create([AllowList(name=name) for name in sorted(missing)], ignore_conflicts=True)


def describe(row: AllowList) -> AllowListState:
    name = ListName(row.name)
    bound = find_bound(name)
    return AllowListState(
        name=str(name),
        setting=SETTINGS[name],
        bound=bound,
        entries=row.entries,
        allowed=select_allowed(name, row.entries, bound),
        changed_at=row.changed_at,
        changed_by=row.changed_by,
    )


@transaction.atomic
def replace_entries(
    name: ListName, entries: Sequence[str] | None, *, by: str, seen: Sequence[str] | None = None
) -> AllowList:
    """Allow only these entries from now on, or, with None, all that the setting allows.

    A running run notices it within a second: it refuses what it has not injected yet. With `seen`, what the
    person has seen allowed must still be so.

    Raises:
        InvalidEntries: entries are malformed, or lie outside the setting.
        ChangedMeanwhile: somebody else has changed it.
    """
    lock_until_commit(f"allow list {name}")
    row, _is_new = AllowList.objects.select_for_update().get_or_create(name=name)
    before = describe(row)
    if seen is not None and list(seen) != list(before.allowed):
        raise ChangedMeanwhile(
            f"{before.changed_by or 'Somebody'} has changed the list {str(name)!r} meanwhile, to "
            f"{', '.join(before.allowed) or 'nothing'}: look at it again. Nothing was changed."
        )
    kept = None if entries is None else read_entries(name, entries, before.bound)
    # What equals the setting follows it when the machine's owner changes it.
    row.entries = None if kept is not None and set(kept) == set(before.bound) else kept
    row.changed_at, row.changed_by = timezone.now(), by[:150]
    row.save()
    words = (f"{', '.join(allowed) or 'nothing'}" for allowed in (before.allowed, describe(row).allowed))
    audit.note_change(str(name), *words)
    return row
