"""Follows redirects one by one: each connection passes the gate, and no secret goes to another origin."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scenarios.domain.errors import StepFailed
from scenarios.drivers.cookies import KeptCookies

if TYPE_CHECKING:
    from yarl import URL

MAX_REDIRECTS = 10
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SEE_OTHER = 303
# With these, a POST becomes a GET by convention: https://www.rfc-editor.org/rfc/rfc9110#section-15.4
_MOVED = frozenset({301, 302})
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
# All other headers may contain something only for the first origin, such as X-Api-Key.
_KEPT_FOR_OTHERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})


@dataclass(frozen=True, slots=True)
class Hop:
    """One request. `body_is_secret`: its body is only for the first origin, as are `tls` and `cookies`.

    `was_sent`: an earlier hop may have carried out the request; a target that responds with 307 or 308 has
    not.
    """

    method: str
    url: "URL"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    body_is_secret: bool = False
    was_sent: bool = False
    number: int = 0
    tls: ssl.SSLContext | None = None
    cookies: KeptCookies | None = None

    def next(self, status: int, location: str | None, name: str) -> "Hop | None":
        """The request that the response redirects to; None if it is not a redirect.

        Raises:
            StepFailed: the new address is not a web address, or there are too many redirects.
        """
        if status not in _FOLLOWED or location is None:
            return None
        if self.number >= MAX_REDIRECTS:
            raise StepFailed(f"{name} redirects more than {MAX_REDIRECTS} times")
        hop = replace(self, url=_join(self.url, location, name), number=self.number + 1)
        if (status == _SEE_OTHER and self.method != "HEAD") or (status in _MOVED and self.method == "POST"):
            is_change = self.method not in READING_METHODS
            hop = replace(hop, method="GET", body=None, headers=_drop_body_headers(self.headers))
            hop = replace(hop, was_sent=self.was_sent or is_change)
        if _get_origin(hop.url) != _get_origin(self.url):
            return _prepare_other_origin(hop)
        if hop.url.user is None and hop.url.password is None:
            hop = replace(hop, url=hop.url.with_user(self.url.user).with_password(self.url.password))
        return hop


def _get_origin(url: "URL") -> tuple[str, str | None, int | None]:
    """The origin, with the default port if none is written."""
    return url.scheme, url.raw_host, url.port


def _prepare_other_origin(hop: Hop) -> Hop:
    hop = replace(hop, tls=None, cookies=None)
    headers = {name: value for name, value in hop.headers.items() if name.lower() in _KEPT_FOR_OTHERS}
    if hop.body_is_secret:
        return replace(hop, body=None, headers=_drop_body_headers(headers))
    return replace(hop, headers=headers)


def _drop_body_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if not name.lower().startswith("content-")}


def _join(url: "URL", location: str, name: str) -> "URL":
    from yarl import URL  # noqa: PLC0415

    sentence = f"{name} redirects to {location[:200]!r}, which is not a web address"
    try:
        target = URL(location)
        found = target if target.scheme else url.join(target)
        origin = found.origin()
    except ValueError as error:
        raise StepFailed(sentence) from error
    if found.scheme not in {"http", "https"} or not origin.host:
        raise StepFailed(sentence)
    return found
