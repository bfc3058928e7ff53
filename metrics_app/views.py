"""The exposition over HTTP."""

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from metrics_app.backend import get_metrics, has_failed
from metrics_app.conf import conf
from metrics_app.decorators import not_measured
from metrics_app.scrape_answer import ScrapeRequest, expose, refuse_scrape


@not_measured
@require_safe
def exposition(request: HttpRequest, **_captured: object) -> HttpResponse:
    """Answer a scrape, below whatever part of the path the project's URLs capture."""
    asked = ScrapeRequest(
        request.method or "GET",
        request.META.get("REMOTE_ADDR", ""),
        request.headers.get("Authorization", ""),
        request.headers.get("Accept", ""),
        request.headers.get("Accept-Encoding", ""),
    )
    answer = refuse_scrape(asked, conf.token, conf.allowed_networks)
    if answer is None:
        handler = get_metrics().get_http_handler()
        if has_failed():
            # The scrape fails, because numbers of only this process would be taken for those of all.
            return HttpResponse("Metrics cannot be exposed: the log says why.\n", "text/plain", status=503)
        answer = expose(asked, handler)
    vary = answer.headers.pop("Vary", "")
    response = HttpResponse(answer.content, status=answer.status, headers=answer.headers)
    if vary:
        patch_vary_headers(response, vary.split(", "))
    return response
