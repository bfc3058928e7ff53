"""The users in whose name commands on this machine act: a schedule and an approval need a person."""

import getpass
import os
from collections.abc import Sequence

from django.contrib.auth.models import User

from coordinator_client.command_line.coordinator import (
    MAX_NAMES_LISTED,
    CommandRefused,
    NotFound,
    NotPermitted,
)


def find_person(name: str, permissions: Sequence[str], *, choose_only_one: bool = False) -> User:
    """The user with this name, or if empty, the one who is called like the account of this process.

    With `choose_only_one`, it may also be the only user who has the permissions.

    Raises:
        NotFound: there is no such user.
        NotPermitted: the user is not active or lacks a permission.
        CommandRefused: no user is named, and there is not only one.
    """
    account = name or read_account()
    found = User.objects.filter(username=account).first()
    if found is not None:
        if not (found.is_active and found.has_perms(permissions)):
            raise NotPermitted(f"User {account!r} may not do this; {_suggest(_list_permitted(permissions))}")
        return found
    permitted = _list_permitted(permissions)
    if name:
        raise NotFound(f"There is no user {name!r}; {_suggest(permitted)}")
    if choose_only_one and len(permitted) == 1:
        return permitted[0]
    raise CommandRefused(
        f"This is done in the name of a user, and none is called {account!r}; {_suggest(permitted)}"
    )


def read_account() -> str:
    """The account of this process; in a container, it may have a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _list_permitted(permissions: Sequence[str]) -> list[User]:
    active = User.objects.filter(is_active=True).order_by("username")
    return [user for user in active if user.has_perms(permissions)]


def _suggest(permitted: Sequence[User]) -> str:
    if not permitted:
        return "no active user may; create one with 'manage.py createsuperuser'."
    names = ", ".join(user.get_username() for user in permitted[:MAX_NAMES_LISTED])
    more = f" and {len(permitted) - MAX_NAMES_LISTED} more" if len(permitted) > MAX_NAMES_LISTED else ""
    return f"give '--as USER' with one of {names}{more}."
