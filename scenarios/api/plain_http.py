"""What HTTP expects of every response of the API: HEAD wherever there is GET, and no caching."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

API_PREFIX = "/api/v1/"


class PlainHTTPMiddleware:
    """Answers HEAD like GET, without the content: load balancers check with HEAD.

    Responses depend on the caller, so that no proxy and no browser may store them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PREFIX):
            return self.get_response(request)
        is_head = request.method == "HEAD"
        if is_head:
            request.method = "GET"
        response = self.get_response(request)
        if is_head:
            request.method = "HEAD"
            response = strip_content(response)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def strip_content(response: HttpResponse) -> HttpResponse:
    if response.streaming:
        response.close()  # an event stream would wait for its reader
        return HttpResponse(status=response.status_code, headers=dict(response.items()))
    length = len(response.content)
    response.content = b""
    response["Content-Length"] = str(length)
    return response
