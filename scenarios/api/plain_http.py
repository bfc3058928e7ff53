"""What HTTP asks of every answer of the API: HEAD where there is GET, and nothing kept on the way."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

API_PREFIX = "/api/v1/"


class PlainHTTPMiddleware:
    """HEAD is answered as GET, without its content; load balancers ask so whether somebody is there.

    What is answered depends on who asks: no proxy and no browser keeps it.
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
        response.close()  # a reader of events must not be waited for
        return HttpResponse(status=response.status_code, headers=dict(response.items()))
    length = len(response.content)
    response.content = b""
    response["Content-Length"] = str(length)
    return response
