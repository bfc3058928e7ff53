"""The exposition over HTTP."""

import gzip
import hmac
from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from metrics_app.backend import get_metrics, has_failed
from metrics_app.conf import conf

FASTEST = 1
"""The gzip level: the default one costs more than merging what it compresses."""


@require_safe
def exposition(request: HttpRequest) -> HttpResponse:
    if not _comes_from_allowed_network(request):
        return HttpResponse(status=403)
    if not _has_token(request):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    handler = get_metrics().get_http_handler()
    if has_failed():
        # The scrape fails, for numbers of this process alone would be taken for those of all.
        return HttpResponse("Metrics cannot be exposed: the log says why.\n", "text/plain", status=503)
    accept = request.headers.get("Accept", "")
    content = handler(accept)
    headers = {"Cache-Control": "no-store"}
    if _accepts_gzip(request.headers.get("Accept-Encoding", "")):
        content = gzip.compress(content, FASTEST, mtime=0)
        headers["Content-Encoding"] = "gzip"
    if request.method == "HEAD":
        # The length that GET would have; some servers warn of a body that they leave out.
        headers["Content-Length"] = str(len(content))
        content = b""
    response = HttpResponse(content, content_type=handler.content_type(accept), headers=headers)
    patch_vary_headers(response, ("Accept", "Accept-Encoding"))
    return response


def _comes_from_allowed_network(request: HttpRequest) -> bool:
    networks = conf.allowed_networks
    if not networks:
        return True
    # The address of the connection, for a header can say anything.
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _has_token(request: HttpRequest) -> bool:
    expected = conf.token
    if not expected:
        return True
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # In constant time, so that how long it takes does not tell how much of it was right.
    return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), expected.encode())


def _accepts_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in offer.split(";"))
        if coding == "gzip":
            return not any(parameter.rstrip("0.") == "q=" for parameter in parameters)
    return False
