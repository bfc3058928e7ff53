"""Records requests that change something, by scenarios/access/audit.py."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from coordinator_site.middleware import Middleware
from scenarios.access import audit


class AuditMiddleware(Middleware):
    """Stands below the authentication, so that it knows who asks."""

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        audit.note_request(request, response.status_code)
        return response
