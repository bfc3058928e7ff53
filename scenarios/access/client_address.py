"""The client's address, directly or behind proxies."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address as the outermost of your own proxies saw it.

    Addresses further left in X-Forwarded-For come from the client, who may send anything there.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxies = settings.TRUSTED_PROXIES
    seen = forwarded[-proxies].strip() if 0 < proxies <= len(forwarded) else ""
    return seen if is_address(seen) else str(request.META.get("REMOTE_ADDR", ""))


def client_network(request: HttpRequest) -> str | None:
    """The client's IPv4 address, or its /64 network, because IPv6 gives one to everybody.

    None if it is unknown, as for a Unix domain socket.
    """
    address = client_address(request)
    if not is_address(address):
        return None
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False).network_address)
    return str(found)


def is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
