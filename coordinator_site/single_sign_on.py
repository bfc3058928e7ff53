"""Login by OpenID Connect, if the settings name a provider.

Authlib handles the protocol: discovery, state, nonce, PKCE, the token's signature and claims. This module
says what to request and turns claims into users.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from coordinator_site.models import Identity
from coordinator_site.sign_on_causes import describe_cause

logger = logging.getLogger(__name__)

TIMEOUT = 10  # seconds
# The provider signs and we only verify, so no algorithm may use the client's own secret as its key.
SIGNATURES = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
MAX_CLOCK_SKEW = 60
MAX_NAME_LENGTH = 140


class LoginRefused(Exception):  # noqa: N818 - a state
    """The provider cannot be used, or this person may not log in."""


@contextmanager
def refusing_on_error() -> Iterator[None]:
    """Turn any error of the provider or of Authlib into a refusal, so that no page breaks.

    Raises:
        LoginRefused: for any error; its details are in the log, not on the page.
    """
    try:
        yield
    except LoginRefused:
        raise
    except Exception as error:
        logger.warning("%s: %s: %s", settings.OIDC_ISSUER, type(error).__name__, error)
        raise LoginRefused(describe_cause(error)) from error


@refusing_on_error()
def redirect_to_provider(request: HttpRequest, back_to: str) -> HttpResponse:
    """Redirect to the provider, which sends the person back to the address `back_to`.

    Raises:
        LoginRefused: the provider cannot be reached or used.
    """
    redirect: HttpResponse = provider().authorize_redirect(request, back_to)
    return redirect


def provider() -> Any:
    """The client for the provider, with the metadata from its discovery document.

    Raises:
        LoginRefused: it has another issuer, or offers no signature algorithm that can be verified.
    """
    client = _client(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    metadata = client.load_server_metadata()
    # https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
    if metadata.get("issuer") != settings.OIDC_ISSUER:
        _client.cache_clear()
        raise LoginRefused(
            f"the provider's issuer is {metadata.get('issuer')!r}, not {settings.OIDC_ISSUER!r}"
        )
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = sorted(SIGNATURES.intersection(offered))
    if not metadata["id_token_signing_alg_values_supported"]:
        _client.cache_clear()
        raise LoginRefused(f"none of the provider's signature algorithms {offered!r} can be verified")
    return client


@lru_cache(maxsize=4)
def _client(issuer: str, client_id: str, client_secret: str) -> Any:
    # Imported on the first login, because Authlib is an optional extra.
    from authlib.integrations.django_client import OAuth  # noqa: PLC0415

    registry = OAuth()
    registry.register(
        "oidc",
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": " ".join(dict.fromkeys(["openid", *settings.OIDC_SCOPES])),
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT,
        },
    )
    return registry.oidc


@refusing_on_error()
def find_logout_page(id_token: str, back_to: str) -> str:
    """The provider's page that ends a person's login there; "" if it has none.

    https://openid.net/specs/openid-connect-rpinitiated-1_0.html

    Raises:
        LoginRefused: the provider cannot be reached or used.
    """
    client = provider()
    if not client.server_metadata.get("end_session_endpoint"):
        return ""
    named = {"client_id": settings.OIDC_CLIENT_ID, "id_token_hint": id_token}
    page: str = client.create_logout_url(post_logout_redirect_uri=back_to, **named)["url"]
    return page


@refusing_on_error()
def fetch_claims(request: HttpRequest) -> tuple[Mapping[str, Any], str]:
    """The verified claims about the person who comes back from the provider, and the identity token.

    Raises:
        LoginRefused: there are no claims, or they cannot be verified.
    """
    client = provider()
    # By itself, Authlib would accept a token for another client that names us as its authorized party.
    expected = {
        "iss": {"essential": True, "value": settings.OIDC_ISSUER},
        "aud": {"essential": True, "value": settings.OIDC_CLIENT_ID},
    }
    token = client.authorize_access_token(request, claims_options=expected, leeway=MAX_CLOCK_SKEW)
    claims: Mapping[str, Any] | None = token.get("userinfo")
    if not claims:
        raise LoginRefused("the provider sent no identity token")
    if settings.OIDC_GROUPS_CLAIM not in claims and client.server_metadata.get("userinfo_endpoint"):
        more = client.userinfo(token=token)
        if more.get("sub") != claims["sub"]:
            raise LoginRefused("the provider's identity token and user info are about different people")
        claims = {**more, **claims}
    return claims, str(token["id_token"])


@transaction.atomic
def save_user(claims: Mapping[str, Any]) -> User | None:
    """Create or update the user with these claims and give them the permissions of their groups.

    Called at each login, so that permissions which the provider or the settings no longer give are removed.
    The caller checks whether the user may log in. Returns None for an unknown person without permissions.
    """
    groups = read_groups(claims)
    may_enter = not groups.isdisjoint([*settings.OIDC_STAFF_GROUPS, *settings.OIDC_SUPERUSER_GROUPS])
    known = Identity.objects.select_related("user").filter(issuer=settings.OIDC_ISSUER, subject=claims["sub"])
    if (identity := known.first()) is None:
        if not may_enter:
            return None
        identity = Identity(issuer=settings.OIDC_ISSUER, subject=claims["sub"], user=_create_user(claims))
    user = identity.user
    user.is_staff = may_enter
    user.is_superuser = not groups.isdisjoint(settings.OIDC_SUPERUSER_GROUPS)
    user.email = _text(claims, "email", 254)
    user.first_name, user.last_name = _text(claims, "given_name", 150), _text(claims, "family_name", 150)
    user.save()
    if may_enter:
        identity.entered_at = timezone.now()
    _join_groups(identity, groups)
    identity.save()
    return user


def has_recent_login(user: User) -> bool:
    """Whether the provider confirmed a user's groups recently enough for their API tokens to be used.

    Always true for users without single sign-on.
    """
    seen = list(Identity.objects.filter(user=user).values_list("entered_at", flat=True))
    if not seen:
        return True
    oldest = timezone.now() - timedelta(seconds=settings.OIDC_TOKEN_SECONDS)
    return user.is_staff and any(at is not None and at > oldest for at in seen)


def read_groups(claims: Mapping[str, Any]) -> frozenset[str]:
    """The groups in the claims; none unless the claim is a list or a single string."""
    named = claims.get(settings.OIDC_GROUPS_CLAIM)
    if isinstance(named, str):
        named = [named]
    return frozenset(str(name) for name in named) if isinstance(named, list) else frozenset()


def _join_groups(identity: Identity, groups: frozenset[str]) -> None:
    """Set exactly the groups that the mapping gives now; groups that were given by hand stay."""
    wanted = {ours for theirs, ours in settings.OIDC_GROUP_MAP.items() if theirs in groups}
    ours = set(settings.OIDC_GROUP_MAP.values()) | set(identity.given_groups)
    known = {group.name: group for group in Group.objects.filter(name__in=ours)}
    for name in sorted(wanted - known.keys()):
        # Not created here: an empty group gives no permission and would hide a misspelled name.
        logger.error("OIDC_GROUP_MAP names the group %r, which does not exist; nobody joins it", name)
    identity.user.groups.remove(*(known[name] for name in known.keys() - wanted))
    identity.user.groups.add(*(known[name] for name in known.keys() & wanted))
    identity.given_groups = sorted(known.keys() & wanted)


def _create_user(claims: Mapping[str, Any]) -> User:
    """Never an existing user, because a name or email at the provider proves nothing here."""
    subject = claims["sub"]
    name = _text(claims, settings.OIDC_USERNAME_CLAIM, MAX_NAME_LENGTH) or str(subject)[:MAX_NAME_LENGTH]
    if User.objects.filter(username=name).exists():
        digest = hashlib.sha256(f"{settings.OIDC_ISSUER} {subject}".encode()).hexdigest()
        name = f"{name}-{digest[:8]}"
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    return user


def _text(claims: Mapping[str, Any], name: str, max_length: int) -> str:
    value = claims.get(name)
    return value[:max_length] if isinstance(value, str) else ""
