"""API tokens: scopes, creation, use and revocation."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from scenarios.domain.errors import ScenarioError
from scenarios.models.access import VALID, ApiToken

SCOPES: dict[str, tuple[str, ...]] = {
    "read": (
        "scenarios.view_scenario",
        "scenarios.view_run",
        "scenarios.view_fault",
        "scenarios.view_service",
        "scenarios.view_host",
        "scenarios.view_environment",
        "scenarios.view_schedule",
        "scenarios.view_approval",
        "scenarios.view_allowlist",
    ),
    "edit": ("scenarios.add_scenario", "scenarios.change_scenario", "scenarios.delete_scenario"),
    "run": ("scenarios.run_scenario",),
    # Writing a schedule also needs "run", because its author is responsible for its runs.
    "schedule": ("scenarios.add_schedule", "scenarios.change_schedule", "scenarios.delete_schedule"),
    "services": (
        "scenarios.add_service",
        "scenarios.change_service",
        "scenarios.delete_service",
        "scenarios.protect_service",
        "scenarios.add_host",
        "scenarios.change_host",
        "scenarios.delete_host",
        "scenarios.protect_host",
        "scenarios.add_environment",
        "scenarios.change_environment",
        "scenarios.delete_environment",
    ),
    # Includes viewing, because an address may contain a secret.
    "webhooks": (
        "scenarios.view_webhook",
        "scenarios.add_webhook",
        "scenarios.change_webhook",
        "scenarios.delete_webhook",
    ),
    "approve": ("scenarios.approve_run",),
    "stop": ("scenarios.stop_run",),
    "acknowledge": ("scenarios.acknowledge_fault",),
    "global-stop": ("scenarios.pull_globalstop",),
    "allow-lists": ("scenarios.change_allowlist",),
}
SCOPE_WORDS = {
    "read": "see scenarios, runs, faults, services, hosts, schedules and approvals",
    "edit": "write and delete scenarios",
    "run": "start runs",
    "schedule": "write and delete schedules; needs 'run', too",
    "services": "register services and hosts, and protect them",
    "webhooks": "see and change webhooks, whose addresses may be secrets",
    "approve": "approve or refuse runs of others",
    "stop": "stop runs",
    "acknowledge": "close a fault that could not be undone",
    "global-stop": "stop everything, and release it",
    "allow-lists": "narrow what steps may do on this machine, and where they may connect to",
}
PREFIX = "tc_"
RANDOM_BYTES = 32
SHOWN_CHARACTERS = 11
LAST_USED_EVERY = timedelta(minutes=1)


class TokenRefused(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """A token cannot be created like this."""


# What a request needs of a token and its owner. Building a query takes longer the more columns it has.
TOKEN_COLUMNS = (
    "name",
    "digest",
    "scopes",
    "expires_at",
    "last_used_at",
    "revoked_at",
    "owner__username",
    "owner__is_active",
    "owner__is_staff",
    "owner__is_superuser",
)


def create_token(
    owner: User, name: str, scopes: Iterable[str], *, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Create a token; returns it and its secret, which is not stored.

    Raises:
        TokenRefused: no scope or an unknown one, an end in the past, or no name.
    """
    wanted = list(dict.fromkeys(scopes))
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise TokenRefused(f"{unknown[0]!r} is not a scope; choose one or more of {', '.join(SCOPES)}.")
    if not wanted:
        raise TokenRefused(f"A token needs a scope; choose one or more of {', '.join(SCOPES)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise TokenRefused(f"expires_at {expires_at.isoformat()!r} is in the past.")
    if not name.strip():
        raise TokenRefused("The name is empty; say what the token is for, such as 'nightly build'.")
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    token = ApiToken.objects.create(
        owner=owner,
        name=name.strip()[:100],
        digest=compute_digest(secret),
        beginning=secret[:SHOWN_CHARACTERS],
        scopes=wanted,
        expires_at=expires_at,
    )
    return token, secret


def compute_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def find_token(secret: str) -> ApiToken | None:
    """The valid token with this secret, and its owner."""
    if not secret.startswith(PREFIX):
        return None
    digest = compute_digest(secret)
    # By nothing but the digest, which is unique: each request would build more conditions, although Python
    # compares the few values in no time.
    known = ApiToken.objects.select_related("owner").only(*TOKEN_COLUMNS)
    found = next(iter(known.filter(digest=digest).order_by()), None)
    # The lookup used a digest, so its duration reveals nothing about a secret.
    if found is None or not hmac.compare_digest(found.digest, digest):
        return None
    return found if found.state == VALID else None


def note_use(token: ApiToken) -> None:
    """Store when the token was last used, at most once a minute, because requests should not all write."""
    now = timezone.now()
    if token.last_used_at is not None and token.last_used_at > now - LAST_USED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - LAST_USED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def revoke_token(token: ApiToken) -> bool:
    """Revoke the token permanently. False if it was revoked before."""
    return bool(
        ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
    )


def find_scopes(permissions: Iterable[str]) -> list[str]:
    """The scopes that have these permissions, in the order of SCOPES."""
    wanted = set(permissions)
    return [scope for scope, held in SCOPES.items() if not wanted.isdisjoint(held)]


def collect_permissions(scopes: Iterable[str]) -> frozenset[str]:
    """The permissions of the scopes."""
    return frozenset(permission for scope in scopes for permission in SCOPES.get(scope, ()))
