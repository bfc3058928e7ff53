"""Login by OpenID Connect, where the settings name a provider.

Authlib carries the protocol: discovery, state, nonce, PKCE, the token's signature and claims. Here stands
what it is asked for, and who its claims are on this site.
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

logger = logging.getLogger(__name__)

SECONDS = 10
# The provider signs, we only verify: no algorithm by which the client's own secret would be a key.
SIGNATURES = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
CLOCKS_APART = 60
MAX_NAME_LENGTH = 140


class LoginRefused(Exception):  # noqa: N818 - an answer
    """The provider, or what it says of the person, does not let them in."""


@contextmanager
def trusting_nothing() -> Iterator[None]:
    """Whatever the provider answers, or does not, ends as a refusal: no page of ours breaks by it.

    Raises:
        LoginRefused: for any error within; its own words are in the log, not on the page.
    """
    try:
        yield
    except LoginRefused:
        raise
    except Exception as error:
        logger.warning("%s: %s: %s", settings.OIDC_ISSUER, type(error).__name__, error)
        raise LoginRefused("its answer could not be trusted or read") from error


@trusting_nothing()
def way_there(request: HttpRequest, back_to: str) -> HttpResponse:
    """The redirect to the provider, which sends the person back to this address.

    Raises:
        LoginRefused: the provider cannot be reached, or not be used.
    """
    redirect: HttpResponse = provider().authorize_redirect(request, back_to)
    return redirect


def provider() -> Any:
    """The client of the provider, with what its discovery document says.

    Raises:
        LoginRefused: it says that it is somebody else, or signs by nothing that could be verified.
    """
    client = _client(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    metadata = client.load_server_metadata()
    # https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
    if metadata.get("issuer") != settings.OIDC_ISSUER:
        _client.cache_clear()
        raise LoginRefused(
            f"the provider calls itself {metadata.get('issuer')!r}, not {settings.OIDC_ISSUER!r}"
        )
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = sorted(SIGNATURES.intersection(offered))
    if not metadata["id_token_signing_alg_values_supported"]:
        _client.cache_clear()
        raise LoginRefused(f"the provider signs by {offered!r}, none of which is verified here")
    return client


@lru_cache(maxsize=4)
def _client(issuer: str, client_id: str, client_secret: str) -> Any:
    # Imported on the first login: it is an extra, and costs the other pages nothing.
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
            "default_timeout": SECONDS,
        },
    )
    return registry.oidc


@trusting_nothing()
def claims_of(request: HttpRequest) -> Mapping[str, Any]:
    """What the provider says of the person who comes back from it, verified.

    Raises:
        LoginRefused: it says nothing of anybody, or nothing that can be trusted.
    """
    client = provider()
    # Authlib by itself would take a token for somebody else that names us as its authorized party.
    expected = {
        "iss": {"essential": True, "value": settings.OIDC_ISSUER},
        "aud": {"essential": True, "value": settings.OIDC_CLIENT_ID},
    }
    token = client.authorize_access_token(request, claims_options=expected, leeway=CLOCKS_APART)
    claims: Mapping[str, Any] | None = token.get("userinfo")
    if not claims:
        raise LoginRefused("the provider's answer has no identity token")
    if settings.OIDC_GROUPS_CLAIM not in claims and client.server_metadata.get("userinfo_endpoint"):
        more = client.userinfo(token=token)
        if more.get("sub") != claims["sub"]:
            raise LoginRefused("the provider's answers speak of two people")
        claims = {**more, **claims}
    return claims


@transaction.atomic
def user_of(claims: Mapping[str, Any]) -> User | None:
    """The person of these claims, with the rights that their groups give; None who has none and is unknown.

    Called at each login: whatever the provider or the settings no longer give is taken away. The caller looks
    whether they may enter.
    """
    groups = groups_in(claims)
    may_enter = not groups.isdisjoint([*settings.OIDC_STAFF_GROUPS, *settings.OIDC_SUPERUSER_GROUPS])
    known = Identity.objects.select_related("user").filter(issuer=settings.OIDC_ISSUER, subject=claims["sub"])
    if (identity := known.first()) is None:
        if not may_enter:
            return None
        identity = Identity(issuer=settings.OIDC_ISSUER, subject=claims["sub"], user=_new_user(claims))
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


def rights_are_present(user: User) -> bool:
    """Whether what the provider said of a person's rights is recent enough for a token of theirs.

    Of somebody whom no provider knows nothing expires.
    """
    seen = list(user.identities.values_list("entered_at", flat=True))
    if not seen:
        return True
    oldest = timezone.now() - timedelta(seconds=settings.OIDC_TOKEN_SECONDS)
    return user.is_staff and any(at is not None and at > oldest for at in seen)


def groups_in(claims: Mapping[str, Any]) -> frozenset[str]:
    """The groups that the provider names; none where the claim is not a list of words, or one word."""
    named = claims.get(settings.OIDC_GROUPS_CLAIM)
    if isinstance(named, str):
        named = [named]
    return frozenset(str(name) for name in named) if isinstance(named, list) else frozenset()


def _join_groups(identity: Identity, groups: frozenset[str]) -> None:
    """Exactly those groups here that the mapping gives now; what a person was given by hand stays."""
    wanted = {ours for theirs, ours in settings.OIDC_GROUP_MAP.items() if theirs in groups}
    ours = set(settings.OIDC_GROUP_MAP.values()) | set(identity.given_groups)
    known = {group.name: group for group in Group.objects.filter(name__in=ours)}
    for name in sorted(wanted - known.keys()):
        # Not made here: an empty group would let nobody do anything, and hide that it is misspelt.
        logger.error("OIDC_GROUP_MAP names the group %r, which does not exist here: nobody joins it", name)
    identity.user.groups.remove(*(known[name] for name in known.keys() - wanted))
    identity.user.groups.add(*(known[name] for name in known.keys() & wanted))
    identity.given_groups = sorted(known.keys() & wanted)


def _new_user(claims: Mapping[str, Any]) -> User:
    """Never somebody who is there already: a name or address at the provider proves nothing here."""
    subject = claims["sub"]
    name = _text(claims, settings.OIDC_USERNAME_CLAIM, MAX_NAME_LENGTH) or str(subject)[:MAX_NAME_LENGTH]
    if User.objects.filter(username=name).exists():
        digest = hashlib.sha256(f"{settings.OIDC_ISSUER} {subject}".encode()).hexdigest()
        name = f"{name}-{digest[:8]}"
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    return user


def _text(claims: Mapping[str, Any], name: str, longest: int) -> str:
    value = claims.get(name)
    return value[:longest] if isinstance(value, str) else ""
