"""System checks: a single sign-on that could let nobody in, or anybody, fails at start."""

import importlib
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import DatabaseError

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_single_sign_on(**_options: Any) -> list[CheckMessage]:
    if not settings.OIDC_ISSUER:
        return _forgotten_issuer()
    found: list[CheckMessage] = []
    try:
        importlib.import_module("authlib")
    except ImportError:
        hint = "Install the extra 'oidc': pip install 'authlib>=1.9'."
        found.append(Error("OIDC_ISSUER needs Authlib.", hint=hint, id="coordinator_site.E002"))
    missing = [name for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET") if not getattr(settings, name)]
    if missing:
        hint = "The provider gives both when this site is registered there as a client."
        sentence = f"OIDC_ISSUER needs {' and '.join(missing)}."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E003"))
    parts = urlsplit(settings.OIDC_ISSUER)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        hint = "Keys that come without TLS may be anybody's."
        sentence = f"OIDC_ISSUER={settings.OIDC_ISSUER!r} does not begin with 'https://'."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E004"))
    if not settings.OIDC_STAFF_GROUPS and not settings.OIDC_SUPERUSER_GROUPS:
        hint = "Name the provider's groups whose members may enter, as OIDC_STAFF_GROUPS=sre,qa."
        found.append(
            Error("OIDC_STAFF_GROUPS is empty: nobody could enter.", hint=hint, id="coordinator_site.E005")
        )
    return [*found, *_unknown_groups()]


def _unknown_groups() -> list[CheckMessage]:
    """Groups of OIDC_GROUP_MAP that are neither shipped nor in the database, where there is one by now."""
    # Imported late: models are loaded by now, not before.
    from django.contrib.auth.models import Group  # noqa: PLC0415

    from scenarios.access.groups import GROUPS  # noqa: PLC0415

    asked = sorted(set(settings.OIDC_GROUP_MAP.values()) - GROUPS.keys())
    if not asked:
        return []
    try:
        known = [*GROUPS, *Group.objects.exclude(name__in=GROUPS).values_list("name", flat=True)]
    except DatabaseError:
        return []
    found: list[CheckMessage] = []
    for name in sorted(set(asked) - set(known)):
        close = get_close_matches(name.lower(), [one.lower() for one in known], n=1)
        meant = [one for one in known if close and one.lower() == close[0]]
        hint = f"Did you mean {meant[0]!r}? " if meant else ""
        hint += f"There are {', '.join(known)}; another one is made in the admin first."
        sentence = f"OIDC_GROUP_MAP names the group {name!r}, which does not exist here."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E006"))
    return found


def _forgotten_issuer() -> list[CheckMessage]:
    given = [name for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET") if getattr(settings, name)]
    if not given:
        return []
    hint = "Set OIDC_ISSUER too, or take the others out."
    return [Error(f"{' and '.join(given)} without OIDC_ISSUER.", hint=hint, id="coordinator_site.E001")]
