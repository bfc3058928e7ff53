"""Serves the badges of suites to anybody who knows their address."""

from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from scenarios.models import Suite
from scenarios.suites.badge import MAX_AGE_SECONDS, compute_tag, draw_badge, is_key
from scenarios.suites.matrix import read_matrix


@require_safe
def show_badge(request: HttpRequest, name: str, key: str) -> HttpResponse:
    # The key first: otherwise the time of an answer would tell which suites exist.
    suite = Suite.objects.filter(name=name).first() if is_key(name, key) else None
    if suite is None:
        raise Http404("there is no badge at this address")
    content = draw_badge(read_matrix(suite))
    headers = {"ETag": compute_tag(content), "Cache-Control": f"public, max-age={MAX_AGE_SECONDS}"}
    if headers["ETag"] in parse_etags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return HttpResponse(content, content_type="image/svg+xml; charset=utf-8", headers=headers)
