"""The answer to a scrape, in any framework: who may have it, and in which format."""

import gzip
import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from metrics_app.recorders import HttpHandler

FASTEST = 1
"""The gzip level: the default one costs more than merging what it compresses."""

Networks = Sequence[IPv4Network | IPv6Network]


class ScrapeRequest(NamedTuple):
    """The parts of a request that matter; missing headers are ''."""

    method: str
    address: str
    """Of the connection, because a header can say anything."""
    authorization: str
    accept: str
    accept_encoding: str


class ScrapeAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes = b""


def refuse_scrape(request: ScrapeRequest, token: str, networks: Networks) -> ScrapeAnswer | None:
    """The response to a client that may not have the metrics; None if it may."""
    if networks and not _comes_from(request.address, networks):
        return ScrapeAnswer(403, {})
    if token and not _has_token(request.authorization, token):
        return ScrapeAnswer(401, {"WWW-Authenticate": "Bearer"})
    if request.method not in {"GET", "HEAD"}:
        return ScrapeAnswer(405, {"Allow": "GET, HEAD"})
    return None


def expose(request: ScrapeRequest, handler: HttpHandler) -> ScrapeAnswer:
    content = handler(request.accept)
    headers = {
        "Content-Type": handler.content_type(request.accept),
        "Cache-Control": "no-store",
        "Vary": "Accept, Accept-Encoding",
    }
    if _accepts_gzip(request.accept_encoding):
        content = gzip.compress(content, FASTEST, mtime=0)
        headers["Content-Encoding"] = "gzip"
    # HEAD has the length that GET would have; some servers warn about a body that they leave out.
    headers["Content-Length"] = str(len(content))
    return ScrapeAnswer(200, headers, b"" if request.method == "HEAD" else content)


def _comes_from(text: str, networks: Networks) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False  # a Unix socket has no address
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _has_token(authorization: str, expected: str) -> bool:
    scheme, _, token = authorization.partition(" ")
    # In constant time, so that the time does not reveal how much of it was right.
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected.encode())


def _accepts_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in offer.split(";"))
        if coding == "gzip":
            return not any(parameter.rstrip("0.") == "q=" for parameter in parameters)
    return False
