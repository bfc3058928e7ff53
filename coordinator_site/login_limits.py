"""Who guesses passwords is slowed down, however the guesses are spread: over names or over addresses.

django-axes keeps the failures and refuses a name from an address. Here stand the two limits that it cannot
express beside that one: of an address with any name, and of a name from any address. Both look back for a few
minutes only, since an address may be that of a whole office, and a name is known to whoever wants to shut its
owner out. A browser in which the person has logged in before is not held to them.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

KNOWN_BROWSER = "known_browser"
KNOWN_FOR_SECONDS = 90 * 24 * 3600


class LoginLimits(AxesDatabaseHandler):  # type: ignore[misc] # it has no types
    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Those of the name from the address; as many as lock both out where either has had too many."""
        failures: int = super().get_failures(request, credentials)
        if failures < settings.AXES_FAILURE_LIMIT and self._is_spread(request, credentials):
            request.is_spread_guessing = True  # type: ignore[attr-defined]
            return int(settings.AXES_FAILURE_LIMIT)
        return failures

    def user_logged_in(self, sender: Any, request: HttpRequest, user: User, **named: Any) -> None:
        super().user_logged_in(sender, request, user, **named)
        request.name_logged_in = user.get_username()  # type: ignore[attr-defined]

    def _is_spread(self, request: HttpRequest, credentials: dict[str, Any] | None) -> bool:
        name, address = get_client_username(request, credentials), request.axes_ip_address  # type: ignore[attr-defined]
        if is_known_browser(request, name):
            return False
        since = request.axes_attempt_time - minutes_looked_back()  # type: ignore[attr-defined]
        lately = AccessAttempt.objects.filter(attempt_time__gt=since)
        return bool(
            (name and _failures(lately.filter(username=name)) >= settings.LOGIN_FAILURES_PER_NAME)
            or (
                address
                and _failures(lately.filter(ip_address=address)) >= settings.LOGIN_FAILURES_PER_ADDRESS
            )
        )


def _failures(attempts: QuerySet[Any]) -> int:
    return attempts.aggregate(sum=Sum("failures_since_start"))["sum"] or 0


def minutes_looked_back() -> timedelta:
    return timedelta(minutes=settings.LOGIN_SLOWDOWN_MINUTES)


def is_known_browser(request: HttpRequest, name: str | None) -> bool:
    known = request.get_signed_cookie(KNOWN_BROWSER, "", salt=KNOWN_BROWSER, max_age=KNOWN_FOR_SECONDS)
    return bool(name) and known == name


class KnownBrowserMiddleware:
    """After a login the browser is known: guesses at the name from elsewhere do not lock it out."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if name := getattr(request, "name_logged_in", ""):
            response.set_signed_cookie(
                KNOWN_BROWSER,
                name,
                salt=KNOWN_BROWSER,
                max_age=KNOWN_FOR_SECONDS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def locked_out(
    request: HttpRequest, _response: HttpResponse | None = None, _credentials: Any = None
) -> HttpResponse:
    """The page that says so, and when to try again."""
    is_spread = getattr(request, "is_spread_guessing", False)
    length = minutes_looked_back() if is_spread else settings.AXES_COOLOFF_TIME
    context = {
        "is_spread": is_spread,
        "failure_limit": settings.AXES_FAILURE_LIMIT,
        "minutes": round(length.total_seconds() / 60),
    }
    response = render(request, "admin/locked_out.html", context, status=429)
    response["Retry-After"] = str(round(length.total_seconds()))
    return response
