"""Authentication and permissions: an API token, or a session of the admin site."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from ninja.decorators import decorate_view
from ninja.errors import AuthenticationError, AuthorizationError, HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from scenarios.access import tokens
from scenarios.access.client_address import client_network
from scenarios.api.failed_tokens import failures
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import HANDLERS, describe_error
from scenarios.models.access import ApiToken

NO_CREDENTIALS = "Authentication required: send 'Authorization: Bearer tc_…', or log in."
REALM = 'Bearer realm="test-coordinator"'
_used: ContextVar[ApiToken | None] = ContextVar("used_token", default=None)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, or a program with a token. A token never permits more than its owner may do."""

    user: User
    token: ApiToken | None = None

    def __str__(self) -> str:
        return f"token {self.token.pk}" if self.token else f"user {self.user.pk}"

    def may(self, permission: str) -> bool:
        if self.token is not None and permission not in tokens.collect_permissions(self.token.scopes):
            return False
        return self.user.has_perm(permission)


class NotAuthenticatedError(AuthenticationError):
    def __init__(self, sentence: str, challenge: str = REALM) -> None:
        super().__init__(message=sentence)
        self.headers = {"WWW-Authenticate": challenge}


class CsrfError(AuthorizationError):
    code = ProblemCode.CSRF_FAILED


class TooManyFailuresError(HttpError):
    def __init__(self, seconds: int) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many requests with an unknown token came from this address."
        )
        self.headers = {"Retry-After": str(seconds)}


class TokenAuth(HttpBearer):
    def __call__(self, request: HttpRequest) -> Any:
        # A write with an Idempotency-Key authenticates twice: see idempotency.py.
        return find_known_caller(request) or super().__call__(request)

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        found = tokens.find_token(token.strip())
        if found is None:
            # Only unknown tokens are limited: behind a proxy, all callers share one address.
            if seconds := failures.note(client_network(request) or ""):
                raise TooManyFailuresError(seconds)
            raise NotAuthenticatedError(
                "The token is unknown, expired or revoked, or its owner has been deactivated or must log in "
                "by single sign-on again.",
                f'{REALM}, error="invalid_token"',
            )
        _used.set(found)
        return remember_caller(request, Caller(found.owner, found))


class SessionAuth(APIKeyCookie):
    """A session of the admin site. Writes also need its CSRF token."""

    param_name: str = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any:
        if find_known_caller(request) is None and not request.user.is_authenticated:
            raise NotAuthenticatedError(NO_CREDENTIALS)
        return find_known_caller(request) or super().__call__(request)

    def _get_key(self, request: HttpRequest) -> str | None:
        if check_csrf(request) is not None:
            raise CsrfError(
                message="The header X-CSRFToken is missing or wrong; a write in a session needs it."
            )
        return request.COOKIES.get(self.param_name)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        return remember_caller(request, Caller(cast("User", request.user)))


ACCESS = [TokenAuth(), SessionAuth()]


def find_known_caller(request: HttpRequest) -> Caller | None:
    return getattr(request, "caller", None)


def remember_caller(request: HttpRequest, caller: Caller) -> Caller:
    request.caller = caller  # type: ignore[attr-defined]
    return caller


def authenticate(request: HttpRequest) -> Caller:
    """Return the caller.

    Raises:
        HttpError: the request has no valid token and no session.
    """
    for way in ACCESS:
        if caller := way(request):
            return cast("Caller", caller)
    raise NotAuthenticatedError(NO_CREDENTIALS)


def permit(request: HttpRequest, *permissions: str) -> Caller:
    """Return the caller, who has all these permissions.

    Raises:
        AuthorizationError: some are missing.
    """
    caller = authenticate(request)
    missing = [permission for permission in permissions if not caller.may(permission)]
    if missing:
        raise AuthorizationError(message=describe_missing(caller, missing))
    return caller


def describe_missing(caller: Caller, missing: Iterable[str]) -> str:
    """What the caller lacks, and who can change that: the token's scopes, or its owner's permissions."""
    names = " and ".join(missing)
    if caller.token is None:
        return f"You do not have the permission {names}; ask an administrator."
    scopes = tokens.find_scopes(missing)
    if lacking := [scope for scope in scopes if scope not in caller.token.scopes]:
        words = " and ".join(map(repr, lacking))
        hint = f"create a token with the scope {words}"
    else:
        hint = f"its owner {caller.user.get_username()!r} must be given the permission"
    return f"This token does not have the permission {names}; {hint}."


View = TypeVar("View", bound=Callable[..., Any])


def need_nothing_more(**_names: str) -> Iterable[str]:
    return ()


def needs(
    *permissions: str, otherwise: str = "", also: Callable[..., Iterable[str]] = need_nothing_more
) -> Callable[[View], View]:
    """Check the caller's permissions before anything else of the request is read.

    Write it directly below the router's decorator, so that it runs before the other decorators. `also` gets
    the names in the address and returns the further permissions that this row needs. With `otherwise`, that
    permission alone is enough to pass, and the operation checks the others itself.
    """

    def gate(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(run)
        def answered(request: HttpRequest, *arguments: Any, **names: Any) -> HttpResponse:
            try:
                if not (otherwise and authenticate(request).may(otherwise)):
                    permit(request, *permissions)
                permit(request, *also(**names))
            except tuple(HANDLERS) as error:
                return describe_error(error)
            return run(request, *arguments, **names)

        return answered

    decorate: Callable[[View], View] = decorate_view(gate)
    return decorate


def get_caller(request: HttpRequest) -> Caller:
    """The caller who has passed `needs`."""
    return cast("Caller", find_known_caller(request))


def record_token_use(**_named: Any) -> None:
    """Runs after the response, so that no caller waits for this write on a busy database."""
    token = _used.get()
    if token is None:
        return
    _used.set(None)
    try:
        tokens.note_use(token)
    except DatabaseError:
        return  # the next request records it


request_finished.connect(record_token_use, dispatch_uid="scenarios.api.note_use_of_token")
