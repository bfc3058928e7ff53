"""Who asks, and what they may: a token of the API, or a session of the admin."""

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
from scenarios.api.problems import HANDLERS, describe_error
from scenarios.models.access import ApiToken

REALM = 'Bearer realm="test-coordinator"'
_used: ContextVar[ApiToken | None] = ContextVar("used_token", default=None)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, or a program with a token, which may do no more than the token's owner."""

    user: User
    token: ApiToken | None = None

    def __str__(self) -> str:
        return f"token {self.token.pk}" if self.token else f"user {self.user.pk}"

    def may(self, permission: str) -> bool:
        if self.token is not None and permission not in tokens.permitted_by(self.token.scopes):
            return False
        return self.user.has_perm(permission)


class NotAuthenticatedError(AuthenticationError):
    def __init__(self, sentence: str, challenge: str = REALM) -> None:
        super().__init__(message=sentence)
        self.headers = {"WWW-Authenticate": challenge}


class TooManyFailuresError(HttpError):
    def __init__(self, seconds: int) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, "Too many unknown tokens came from this address.")
        self.headers = {"Retry-After": str(seconds)}


class TokenAuth(HttpBearer):
    def __call__(self, request: HttpRequest) -> Any:
        # Asked once more where a write is to be carried out once: see idempotency.py.
        return find_known_caller(request) or super().__call__(request)

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        found = tokens.find_token(token.strip())
        if found is None:
            # A good token always passes: behind a proxy, all share one address.
            if seconds := failures.note(client_network(request) or ""):
                raise TooManyFailuresError(seconds)
            raise NotAuthenticatedError(
                "The token is unknown, expired or revoked, or its owner is deactivated or has to log in by "
                "single sign-on again.",
                f'{REALM}, error="invalid_token"',
            )
        _used.set(found)
        return remember_caller(request, Caller(found.owner, found))


class SessionAuth(APIKeyCookie):
    """A session of the admin; what writes needs its CSRF token, too."""

    param_name: str = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any:
        if find_known_caller(request) is None and not request.user.is_authenticated:
            raise NotAuthenticatedError("Send a token, as 'Authorization: Bearer tc_…', or log in.")
        return find_known_caller(request) or super().__call__(request)

    def _get_key(self, request: HttpRequest) -> str | None:
        if check_csrf(request) is not None:
            raise AuthorizationError(message="With a session, a write needs the header X-CSRFToken.")
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
    """Whoever asks.

    Raises:
        HttpError: nobody who is known does.
    """
    for way in ACCESS:
        if caller := way(request):
            return cast("Caller", caller)
    raise NotAuthenticatedError("Send a token, as 'Authorization: Bearer tc_…', or log in.")


def permit(request: HttpRequest, *permissions: str) -> Caller:
    """Who asks, and may do this.

    Raises:
        AuthorizationError: they may not.
    """
    caller = authenticate(request)
    missing = [permission for permission in permissions if not caller.may(permission)]
    if missing:
        whose = "The token's scopes and its owner's permissions" if caller.token else "Your permissions"
        raise AuthorizationError(message=f"This needs {' and '.join(missing)}. {whose} do not hold it.")
    return caller


View = TypeVar("View", bound=Callable[..., Any])


def need_nothing_more(**_names: str) -> Iterable[str]:
    return ()


def needs(
    *permissions: str, otherwise: str = "", also: Callable[..., Iterable[str]] = need_nothing_more
) -> Callable[[View], View]:
    """Of an operation: only a caller with these permissions gets as far as having the request read.

    Written just below the router's decorator, so that it is asked before every other one. `also` gets the
    names in the address and tells what else this one row needs. With `otherwise` that permission is enough to
    be read, and the operation looks at the others itself.
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
    """Whoever has passed `needs`."""
    return cast("Caller", find_known_caller(request))


def record_token_use(**_named: Any) -> None:
    """After the answer has been sent: whoever asked does not wait for this write, however busy the
    database is.
    """
    token = _used.get()
    if token is None:
        return
    _used.set(None)
    try:
        tokens.note_use(token)
    except DatabaseError:
        return  # the next request says it


request_finished.connect(record_token_use, dispatch_uid="scenarios.api.note_use_of_token")
