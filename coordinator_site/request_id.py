"""A request's id, in its log lines and its answer: the client's or proxy's own, or a new one."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from scenarios.domain import log_context

HEADER = "X-Request-ID"
_KEY = "HTTP_X_REQUEST_ID"
# It is written into log lines and an answer's header: nothing but what ids are made of, and not much.
_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def request_id(sent: str | None) -> str:
    return sent if sent is not None and _ID.fullmatch(sent) else uuid4().hex


class RequestIdMiddleware:
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        name = _begin(request)
        response: HttpResponseBase = self._get_response(request)
        response.headers[HEADER] = name
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        name = _begin(request)
        response: HttpResponseBase = await self._get_response(request)
        response.headers[HEADER] = name
        return response


def _begin(request: HttpRequest) -> str:
    name = request_id(request.META.get(_KEY))
    log_context.begin(request_id=name)
    return name
