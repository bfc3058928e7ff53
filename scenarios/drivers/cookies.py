"""The cookies that a run keeps: in memory, each for the service and the origin that set it."""

from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.redaction import Redactor

if TYPE_CHECKING:
    from http.cookies import Morsel, SimpleCookie

    from aiohttp import CookieJar
    from yarl import URL

# Per origin; a target could fill the memory otherwise.
MAX_COOKIES = 100
# Shorter values, such as 'en', are not secrets: redacting them would damage every text that has them.
MIN_SECRET_LENGTH = 8


class KeptCookies:
    """Those of one service. Only requests to the origin that set one get it, whatever its `Domain` says."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._jars: dict[str, CookieJar] = {}

    def build_header(self, url: "URL") -> dict[str, str]:
        """The header `Cookie` for a request to this URL, if there are cookies for it."""
        jar = self._jars.get(str(url.origin()))
        found = jar.filter_cookies(url) if jar is not None else {}
        pairs = [f"{morsel.key}={morsel.coded_value}" for morsel in found.values()]
        return {"Cookie": "; ".join(pairs)} if pairs else {}

    def note(self, url: "URL", cookies: "SimpleCookie") -> None:
        """Keep the cookies of a response from this URL. Their values are secrets from now on."""
        from aiohttp import CookieJar  # noqa: PLC0415

        for morsel in cookies.values():
            _expire(morsel)
            for text in {morsel.value, morsel.coded_value}:
                if len(text) >= MIN_SECRET_LENGTH:
                    self._redactor.learn_passing(text)
        origin = str(url.origin())
        jar = self._jars.get(origin)
        if jar is None:
            jar = self._jars[origin] = CookieJar(unsafe=True, quote_cookie=False)
        room = MAX_COOKIES - len(jar)
        known = {morsel.key for morsel in jar} if len(cookies) > room else set()
        kept = [(name, morsel) for name, morsel in cookies.items() if name in known or len(cookies) <= room]
        jar.update_cookies(kept, url)


def _expire(morsel: "Morsel[str]") -> None:
    """Make sure that a cookie that has expired is deleted.

    The jar takes the beginning of 1970, with which many servers delete cookies, for no time at all.
    """
    if not morsel["expires"] or morsel["max-age"]:
        return
    with suppress(ValueError, TypeError):  # the jar reads more forms than this
        if parsedate_to_datetime(morsel["expires"]).timestamp() <= 0:
            morsel["max-age"] = "0"


def find_cookies(platform: Any, service: str) -> KeptCookies:
    """The cookies that the run keeps for the service.

    Raises:
        StepImpossible: the step does not belong to a run.
    """
    kept: dict[str, KeptCookies] | None = getattr(platform, "cookies", None)
    if kept is None:
        raise StepImpossible("'cookies: keep' is only for the steps of a run")
    return kept.setdefault(service, KeptCookies(platform.redactor))
