"""Content-Security-Policy on every response.

Django 6.0 has its own middleware, which reads the same setting, `SECURE_CSP`:
https://docs.djangoproject.com/en/6.0/ref/csp/
"""

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from coordinator_site.middleware import Middleware

HEADER = "Content-Security-Policy"


class ContentSecurityPolicyMiddleware(Middleware):
    """Adds the site's policy unless the view has set its own."""

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault(HEADER, format_policy(settings.SECURE_CSP))
        return response


def format_policy(policy: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(" ".join((directive, *sources)) for directive, sources in policy.items())
