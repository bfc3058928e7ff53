"""Views for single sign-on: to the provider, and back from it."""

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
from scenarios.access.page_after_login import ENDED_LOGIN, LOGIN_BY_PROVIDER

logger = logging.getLogger(__name__)

NEXT = "page_after_login"


class SingleSignOnMiddleware:
    """Ends a session from single sign-on after a fixed time, even if it is in use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie there is no session to load.
        is_known = settings.SESSION_COOKIE_NAME in request.COOKIES
        if is_known and has_ended(request.session.get(LOGIN_BY_PROVIDER)):
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
    """Redirect to the provider. Reached by a link, because the policy forbids forms that lead elsewhere."""
    require_single_sign_on()
    request.session[NEXT] = request.GET.get("next", "")
    try:
        return single_sign_on.redirect_to_provider(
            request, request.build_absolute_uri(reverse("oidc_callback"))
        )
    except LoginRefused as error:
        return refuse(request, str(error))


@never_cache
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Log in the person whom the provider names, if their groups may log in."""
    require_single_sign_on()
    try:
        claims, id_token = single_sign_on.fetch_claims(request)
        user = single_sign_on.save_user(claims)
    except LoginRefused as error:
        return refuse(request, str(error))
    if user is None or not (user.is_staff and user.is_active):
        return refuse(request, "none of your groups may log in here")
    page = request.session.pop(NEXT, "")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.set_expiry(settings.OIDC_SESSION_SECONDS)
    begun = {"issuer": settings.OIDC_ISSUER, "at": time.time(), "id_token": id_token}
    request.session[LOGIN_BY_PROVIDER] = begun
    logger.info("%s logged in with %s", user.get_username(), settings.OIDC_ISSUER)
    is_here = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(page if is_here else reverse("admin:index"))


@never_cache
@require_safe
def end(request: HttpRequest) -> HttpResponse:
    """After the logout here: redirect to the provider's page that ends the login there, too.

    Reached by a link, as `start`. It ends nothing here, so it needs no POST.
    """
    require_single_sign_on()
    id_token = request.session.pop(ENDED_LOGIN, "")
    login_page = reverse("admin:login")
    if not id_token:
        return HttpResponseRedirect(login_page)
    try:
        page = single_sign_on.find_logout_page(id_token, request.build_absolute_uri(login_page))
    except LoginRefused as error:
        messages.error(request, f"You may still be logged in at {settings.OIDC_NAME}: {error}.")
        return HttpResponseRedirect(login_page)
    if not page:
        messages.warning(request, f"{settings.OIDC_NAME} offers no logout: close the browser.")
    return HttpResponseRedirect(page or login_page)


def require_single_sign_on() -> None:
    if not settings.OIDC_ISSUER:
        raise Http404("no single sign-on is configured")


def refuse(request: HttpRequest, reason: str) -> HttpResponse:
    """Redirect to the login page with the reason as a message."""
    logger.warning("Login with %s failed: %s", settings.OIDC_ISSUER, reason)
    messages.error(request, f"Login with {settings.OIDC_NAME} failed: {reason}.")
    return HttpResponseRedirect(reverse("admin:login"))
