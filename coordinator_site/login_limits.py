"""Slows down password guessing that is spread over names or over addresses.

django-axes records failures and locks out a name from one address. This module adds two limits that it
cannot express: failures from one address with any name, and failures of one name from any address. Both look
back only a few minutes, because a whole office may share an address, and anyone who knows a name could lock
its owner out. They do not apply to a browser in which the person has logged in before.
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
        """Failures of this name from this address; the limit itself if either has too many elsewhere."""
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
        since = request.axes_attempt_time - get_slowdown()  # type: ignore[attr-defined]
        recent = AccessAttempt.objects.filter(attempt_time__gt=since)
        return bool(
            (name and _failures(recent.filter(username=name)) >= settings.LOGIN_FAILURES_PER_NAME)
            or (
                address
                and _failures(recent.filter(ip_address=address)) >= settings.LOGIN_FAILURES_PER_ADDRESS
            )
        )


def _failures(attempts: QuerySet[Any]) -> int:
    return attempts.aggregate(sum=Sum("failures_since_start"))["sum"] or 0


def get_slowdown() -> timedelta:
    return timedelta(minutes=settings.LOGIN_SLOWDOWN_MINUTES)


def is_known_browser(request: HttpRequest, name: str | None) -> bool:
    known = request.get_signed_cookie(KNOWN_BROWSER, "", salt=KNOWN_BROWSER, max_age=KNOWN_FOR_SECONDS)
    return bool(name) and known == name


class KnownBrowserMiddleware:
    """Remembers the browser after a login, so that guesses from elsewhere do not lock it out."""

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
                path=settings.SESSION_COOKIE_PATH,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def locked_out(
    request: HttpRequest, _response: HttpResponse | None = None, _credentials: Any = None
) -> HttpResponse:
    """The page that says when to try again."""
    is_spread = getattr(request, "is_spread_guessing", False)
    wait = get_slowdown() if is_spread else settings.AXES_COOLOFF_TIME
    context = {
        "is_spread": is_spread,
        "failure_limit": settings.AXES_FAILURE_LIMIT,
        "minutes": round(wait.total_seconds() / 60),
    }
    response = render(request, "admin/locked_out.html", context, status=429)
    response["Retry-After"] = str(round(wait.total_seconds()))
    return response
