"""System checks of the single sign-on settings."""

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
        hint = "Register this site as a client at the provider to get both."
        sentence = f"OIDC_ISSUER needs {' and '.join(missing)}."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E003"))
    parts = urlsplit(settings.OIDC_ISSUER)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        hint = "Without TLS, the provider's keys may come from anybody."
        sentence = f"OIDC_ISSUER={settings.OIDC_ISSUER!r} does not start with 'https://'."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E004"))
    if not settings.OIDC_STAFF_GROUPS and not settings.OIDC_SUPERUSER_GROUPS:
        hint = "List the provider's groups whose members may log in, as in OIDC_STAFF_GROUPS=sre,qa."
        found.append(
            Error(
                "OIDC_STAFF_GROUPS is empty, so nobody could log in.", hint=hint, id="coordinator_site.E005"
            )
        )
    return [*found, *_unknown_groups()]


def _unknown_groups() -> list[CheckMessage]:
    """Errors for groups in OIDC_GROUP_MAP that are neither shipped nor in the database."""
    # Imported here because models are not loaded when this module is.
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
        close = get_close_matches(name.lower(), [group.lower() for group in known], n=1)
        meant = [group for group in known if close and group.lower() == close[0]]
        hint = f"Did you mean {meant[0]!r}? " if meant else ""
        hint += f"Known groups are {', '.join(known)}; add another in the admin first."
        sentence = f"OIDC_GROUP_MAP names the group {name!r}, which does not exist."
        found.append(Error(sentence, hint=hint, id="coordinator_site.E006"))
    return found


def _forgotten_issuer() -> list[CheckMessage]:
    set_names = [name for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET") if getattr(settings, name)]
    if not set_names:
        return []
    hint = "Set OIDC_ISSUER too, or remove the others."
    return [Error(f"{' and '.join(set_names)} without OIDC_ISSUER.", hint=hint, id="coordinator_site.E001")]
