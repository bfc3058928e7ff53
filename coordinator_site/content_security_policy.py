"""Content-Security-Policy on every answer.

Django 6.0 brings a middleware of its own that reads the same setting, `SECURE_CSP`:
https://docs.djangoproject.com/en/6.0/ref/csp/
"""

from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse

HEADER = "Content-Security-Policy"


class ContentSecurityPolicyMiddleware:
    """Adds the site's policy, unless a view has set one for its answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault(HEADER, written(settings.SECURE_CSP))
        return response


def written(policy: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(" ".join((directive, *sources)) for directive, sources in policy.items())
