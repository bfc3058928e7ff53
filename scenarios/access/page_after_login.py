"""What becomes of a form that is sent: where its sender goes on after a login, and which page was saved."""

from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

SAVED_PAGE = "saved_page"
SECONDS = 300


def page_of_form(request: HttpRequest) -> str:
    """The page that a form was sent from: its own address may be one that only takes what is sent."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}, require_https=request.is_secure()):
        return request.get_full_path()
    parts = urlsplit(referrer)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def tell_saved_page(request: HttpRequest, response: HttpResponse) -> None:
    """To kept-text.js: what this browser has kept of the page's form is stored by now."""
    response.set_cookie(
        SAVED_PAGE,
        quote(request.path, safe=""),
        max_age=SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
