"""How the demo exchange gets its prices: from the price feed, with a timeout, and from memory without it."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

TIMEOUT_SECONDS = 0.5


class Prices:
    """The newest prices that the feed has sent. While it fails, these are served, and marked as `stale`."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._newest: Any = None
        self._is_stale = False
        self._session: ClientSession | None = None

    def add_to(self, application: web.Application) -> None:
        application.cleanup_ctx.append(self._connected)
        application.router.add_get("/prices", self.list_prices)
        application.router.add_get("/health/prices", self.show_health)

    async def list_prices(self, _request: web.Request) -> web.Response:
        try:
            self._newest = await self._ask()
            self._is_stale = False
        # The last three are for answers that are damaged or unexpected.
        except (ClientError, TimeoutError, ValueError, KeyError, TypeError):
            self._is_stale = True
        if self._newest is None:
            return web.json_response({"error": "no prices yet"}, status=503)
        return web.json_response({"prices": self._newest, "stale": self._is_stale})

    async def show_health(self, _request: web.Request) -> web.Response:
        """Whether the last request for prices got new ones."""
        status = 503 if self._is_stale or self._newest is None else 200
        return web.json_response({"stale": self._is_stale}, status=status)

    async def _ask(self) -> Any:
        assert self._session is not None  # noqa: S101 - made before the first request
        async with self._session.get("/prices", raise_for_status=True) as response:
            return (await response.json())["prices"]

    async def _connected(self, _application: web.Application) -> AsyncIterator[None]:
        async with ClientSession(self._feed, timeout=ClientTimeout(total=TIMEOUT_SECONDS)) as self._session:
            yield
