"""The exposition over HTTP."""

import gzip
import hmac
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from metrics_app.backend import get_metrics

FASTEST = 1
"""The gzip level: the default one costs more than merging what it compresses."""


@require_safe
def exposition(request: HttpRequest) -> HttpResponse:
    if settings.METRICS_ALLOWED_NETWORKS and not _comes_from_allowed_network(request):
        return HttpResponse(status=403)
    if settings.METRICS_TOKEN and not _has_token(request):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    accept = request.headers.get("Accept", "")
    handler = get_metrics().get_http_handler()
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
    # The address of the connection, for a header can say anything.
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a Unix socket has no address
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ip_network(network) for network in settings.METRICS_ALLOWED_NETWORKS)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # In constant time, so that how long it takes does not tell how much of it was right.
    return scheme.lower() == "bearer" and hmac.compare_digest(
        token.strip().encode(), settings.METRICS_TOKEN.encode()
    )


def _accepts_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in offer.split(";"))
        if coding == "gzip":
            return not any(parameter.rstrip("0.") == "q=" for parameter in parameters)
    return False
