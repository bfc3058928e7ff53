"""Where people return to after a login, and which page they saved last."""

from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

# In a session: how somebody logged in at the provider, and after the logout the identity token of that login.
LOGIN_BY_PROVIDER, ENDED_LOGIN = "single_sign_on", "ended_single_sign_on"
SAVED_PAGE = "saved_page"
SECONDS = 300


def find_page_of_form(request: HttpRequest) -> str:
    """The page of the form, because the address that it is sent to may only accept POST."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}, require_https=request.is_secure()):
        return request.get_full_path()
    parts = urlsplit(referrer)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def set_saved_page(request: HttpRequest, response: HttpResponse) -> None:
    """Tell kept-text.js that the text which it keeps for this page was saved."""
    response.set_cookie(
        SAVED_PAGE,
        quote(request.path, safe=""),
        max_age=SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
