"""What the process of a load needs to send an `http` step over and over."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from scenarios.domain.errors import StepImpossible, StepNotSent
from scenarios.drivers.gate import admit
from scenarios.ports import Platform

_PORTS = {"http": 80, "https": 443}


async def prepare_load(arguments: Any, url: str, platform: Platform) -> Mapping[str, Any]:
    """The request as JSON values. Its addresses are resolved and pass the gate once, before it is sent.

    Raises:
        StepNotSent: the name of the host cannot be resolved.
        StepImpossible: the run may not touch what is there.
    """
    place = urlsplit(url)
    scheme, host = place.scheme.lower(), place.hostname or ""
    if place.username or place.password:
        raise StepImpossible("a load takes no user and password in its URL; use the header 'Authorization'")
    port = place.port or _PORTS[scheme]
    try:
        found = await admit(host, port, platform)
    except (OSError, UnicodeError) as error:
        raise StepNotSent(f"the host name {host!r} cannot be resolved") from error
    return {
        "url": url,
        "host": host,
        "addresses": [[str(info[4][0]), port] for info in found],
        "is_tls": scheme == "https",
        "method": arguments.method,
        "headers": {"User-Agent": "test-coordinator", "Accept": "*/*", **arguments.headers},
        "query": arguments.query or [],
        "has_json": "json_body" in arguments.model_fields_set,
        "json": arguments.json_body,
        "body": arguments.body,
        "ok": arguments.ok,
    }
