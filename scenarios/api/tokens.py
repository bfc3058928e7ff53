"""The caller, and the caller's own tokens. A token cannot make another one."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema, Status
from ninja.decorators import decorate_view
from ninja.errors import AuthorizationError

from scenarios.access import tokens
from scenarios.api.access import Caller, get_caller, needs
from scenarios.api.description import IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import Int64, RowId
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.problems import NotFoundError
from scenarios.models.access import ApiToken

router = Router(tags=["access"])
ORDER = Order(("pk",), (int,), descending=True)


class TokenInList(Schema):
    """A token without its secret, which is not stored."""

    id: Int64
    name: str
    beginning: str = Field(description="Its first characters.")
    scopes: list[str]
    state: str = Field(description="valid, revoked, expired, or why it cannot be used now.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenPage(Schema):
    items: list[TokenInList]
    next_cursor: str | None


class Identity(Schema):
    """The user who asks; `token` is null in a session."""

    user: str
    token: TokenInList | None
    permissions: list[str] = Field(description="What the caller may do here, with this token.")


@router.get("/whoami", response={200: Identity, **REFUSALS}, url_name="whoami")
@needs()
def whoami(request: HttpRequest) -> dict[str, Any]:
    """Show the user, the token and its permissions."""
    caller = get_caller(request)
    known = sorted(tokens.collect_permissions(tokens.SCOPES))
    return {
        "user": caller.user.get_username(),
        "token": None if caller.token is None else ApiToken.objects.get(pk=caller.token.pk),
        "permissions": [permission for permission in known if caller.may(permission)],
    }


@router.get("/tokens", response={200: TokenPage, **REFUSALS}, url_name="tokens")
@needs()
def list_tokens(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """List the caller's own tokens, the newest first."""
    own = ApiToken.objects.filter(owner=get_caller(request).user).select_related("owner")
    return build_page(own, ORDER, filters)


@router.delete(
    "/tokens/{token_id}",
    response={204: None, **ITEM_REFUSALS},
    url_name="token",
    openapi_extra=IDEMPOTENT,
)
@needs()
@decorate_view(run_once)
def revoke_token(request: HttpRequest, token_id: Path[RowId]) -> Status[None]:
    """Revoke one of the caller's own tokens for good. A token cannot revoke one that permits more."""
    caller = get_caller(request)
    found = ApiToken.objects.filter(owner=caller.user, pk=token_id).first()
    if found is None:
        raise NotFoundError(f"You have no token {token_id!r}.")
    check_strength(caller, found)
    tokens.revoke_token(found)
    return Status(HTTPStatus.NO_CONTENT, None)


def check_strength(caller: Caller, other: ApiToken) -> None:
    """Check that the caller's token has all scopes of the other one.

    Raises:
        AuthorizationError: it lacks some.
    """
    if caller.token is None:
        return
    lacking = [scope for scope in other.scopes if scope not in caller.token.scopes]
    if lacking:
        words = " and ".join(map(repr, lacking))
        raise AuthorizationError(
            message=f"This token cannot revoke {other.name!r}, which also has the scope {words}; "
            "log in, or use that token."
        )
