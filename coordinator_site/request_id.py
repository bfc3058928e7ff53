"""A request's ID in its log lines and its response: sent by the client or a proxy, or a new one."""

import re
from uuid import uuid4

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from coordinator_site.middleware import Middleware
from scenarios.domain import log_context

HEADER = "X-Request-ID"
_KEY = "HTTP_X_REQUEST_ID"
# It goes into log lines and a response header: few characters, and only such as IDs are made of.
_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def choose_id(sent: str | None) -> str:
    """The ID that was sent, if it is one, else a new one."""
    return sent if sent is not None and _ID.fullmatch(sent) else uuid4().hex


class RequestIdMiddleware(Middleware):
    def begin(self, request: HttpRequest) -> None:
        request.META[_KEY] = choose_id(request.META.get(_KEY))
        log_context.begin(request_id=request.META[_KEY])

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers[HEADER] = request.META[_KEY]
        return response
