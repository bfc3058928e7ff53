"""The allow lists of the site as they are now, for drivers.

What the settings do not allow is refused always. What people have switched off within them is refused for
every step but the undo of a fault that is injected already: no list keeps a fault from being undone.
"""

from collections.abc import Mapping, Sequence

from django.conf import settings

from scenarios.domain.allow_lists import ALL_NETWORKS, ListName, list_entries, select_allowed
from scenarios.domain.errors import StepImpossible
from scenarios.ports import ListedPlatform, Platform

SWITCHED_OFF = "is switched off on this site"


def find_bound(name: ListName) -> list[str]:
    """What the settings allow."""
    if name is ListName.COMMANDS:
        variables = settings.ALLOWED_COMMAND_VARIABLES
        return [":".join([each, *sorted(variables.get(each, ()))]) for each in settings.ALLOWED_COMMANDS]
    if name is ListName.PIDFILE_DIRS:
        return [str(folder) for folder in settings.ALLOWED_PIDFILE_DIRS]
    return list(settings.ALLOWED_NETWORKS) or list(ALL_NETWORKS)


def read_narrowed() -> dict[str, list[str]]:
    """What is allowed now, by the name of each list that somebody has narrowed; in one short query."""
    # Imported late: drivers are also imported without Django's models, to describe their arguments.
    from scenarios.models import AllowList  # noqa: PLC0415

    rows = AllowList.objects.filter(entries__isnull=False).values_list("name", "entries")
    return {
        name: select_allowed(ListName(name), entries, find_bound(ListName(name)))
        for name, entries in rows
        if name in set(ListName)
    }


def read_for_check(platform: Platform, name: ListName) -> Sequence[str] | None:
    """As when the platform was made; None where nobody has narrowed the list."""
    lists: Mapping[str, Sequence[str]] = getattr(platform, "allow_lists", None) or {}
    return lists.get(name)


async def read_for_step(platform: Platform | None, name: ListName) -> Sequence[str] | None:
    """As it is now; None where nobody has narrowed the list, and for the undo of a fault."""
    return await platform.read_allow_list(name) if isinstance(platform, ListedPlatform) else None


def refuse_switched_off(what: str, name: ListName, allowed: Sequence[str]) -> None:
    """Raises StepImpossible with a sentence."""
    raise StepImpossible(
        f"{what} {SWITCHED_OFF}: its allow list {str(name)!r} names {list_entries(allowed)} now; "
        "people who may change allow lists can switch it on"
    )
