"""System checks: a single sign-on that could let nobody in, or anybody, fails at start."""

import importlib
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

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
    return found


def _forgotten_issuer() -> list[CheckMessage]:
    given = [name for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET") if getattr(settings, name)]
    if not given:
        return []
    hint = "Set OIDC_ISSUER too, or take the others out."
    return [Error(f"{' and '.join(given)} without OIDC_ISSUER.", hint=hint, id="coordinator_site.E001")]
