"""The way to the provider of the single sign-on, and the way back."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from coordinator_site import single_sign_on
from coordinator_site.single_sign_on import LoginRefused

logger = logging.getLogger(__name__)

NEXT = "page_after_login"
LOGIN = "single_sign_on"


class SingleSignOnMiddleware:
    """Ends a session that single sign-on began when its time is over, however often it was used meanwhile."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie there is no session, and none is looked for.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and has_ended(request.session.get(LOGIN)):
            logout(request)
        return self.get_response(request)


def has_ended(login_by_provider: Mapping[str, Any] | None) -> bool:
    if login_by_provider is None:
        return False
    age: float = time.time() - login_by_provider["at"]
    return bool(login_by_provider["issuer"] != settings.OIDC_ISSUER) or age > settings.OIDC_SESSION_SECONDS


@never_cache
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """To the provider. By a link, for the policy lets no form lead anywhere but here."""
    refuse_where_off()
    request.session[NEXT] = request.GET.get("next", "")
    try:
        return single_sign_on.way_there(request, request.build_absolute_uri(reverse("oidc_callback")))
    except LoginRefused as error:
        return refused(request, str(error))


@never_cache
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider: whoever it says they are is logged in, if their groups may enter."""
    refuse_where_off()
    try:
        user = single_sign_on.user_of(single_sign_on.claims_of(request))
    except LoginRefused as error:
        return refused(request, str(error))
    if user is None or not (user.is_staff and user.is_active):
        return refused(request, "none of your groups may enter here")
    page = request.session.pop(NEXT, "")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.set_expiry(settings.OIDC_SESSION_SECONDS)
    request.session[LOGIN] = {"issuer": settings.OIDC_ISSUER, "at": time.time()}
    logger.info("%s has logged in by %s", user.get_username(), settings.OIDC_ISSUER)
    is_ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(page if is_ours else reverse("admin:index"))


def refuse_where_off() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404("no single sign-on is configured")


def refused(request: HttpRequest, reason: str) -> HttpResponse:
    """Back to the login page, with a sentence."""
    logger.warning("A login by %s failed: %s", settings.OIDC_ISSUER, reason)
    messages.error(request, f"The login by {settings.OIDC_NAME} failed: {reason}.")
    return HttpResponseRedirect(reverse("admin:login"))
