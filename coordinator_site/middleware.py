"""Middleware that works alike under WSGI and ASGI."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Middleware:
    """Calls `begin` before a request and `finish` after it, without another thread in either case.

    Django's own `MiddlewareMixin` moves both into a thread under ASGI.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def begin(self, request: HttpRequest) -> None:
        """Hook: the request is about to be answered."""

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Hook: what to answer instead of the response; by default the response."""
        return response

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        self.begin(request)
        return self.finish(request, self._get_response(request))

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        self.begin(request)
        return self.finish(request, await self._get_response(request))
