"""What HTTP expects of every response of the API: HEAD wherever there is GET, OPTIONS, and no caching."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import build_problem

API_PREFIX = "/api/"
NO_CONTENT_HEADERS = ("Content-Type", "Content-Length")


class PlainHTTPMiddleware:
    """Answers HEAD like GET, without the content: load balancers check with HEAD.

    Responses depend on the caller, so that no proxy and no browser may store them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        if (encoding := request.headers.get("Content-Encoding", "identity")) != "identity":
            return refuse_encoding(encoding)
        is_head = request.method == "HEAD"
        if is_head:
            request.method = "GET"
        response = self.get_response(request)
        if is_head:
            request.method = "HEAD"
            response = strip_content(response)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            response["Allow"] = complete_methods(response.get("Allow", ""))
            if request.method == "OPTIONS":
                response = HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": response["Allow"]})
        if response.status_code in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            for name in NO_CONTENT_HEADERS:  # they would describe the content that was left out
                response.headers.pop(name, None)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def refuse_encoding(encoding: str) -> HttpResponse:
    """Without this, a compressed body would be called invalid text."""
    return build_problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ProblemCode.ENCODING_UNSUPPORTED,
        f"Content-Encoding {encoding[:80]!r} is not supported; send the body without compression.",
        headers={"Accept-Encoding": "identity"},
    )


def complete_methods(allowed: str) -> str:
    """Adds what works at every address. There is no CORS: scripts of other sites may not call the API."""
    methods = [method.strip() for method in allowed.split(",") if method.strip()]
    more = ["HEAD"] if "GET" in methods else []
    return ", ".join([*methods, *more, "OPTIONS"])


def strip_content(response: HttpResponse) -> HttpResponse:
    if response.streaming:
        response.close()  # an event stream would wait for its reader
        return HttpResponse(status=response.status_code, headers=dict(response.items()))
    length = len(response.content)
    response.content = b""
    response["Content-Length"] = str(length)
    return response
