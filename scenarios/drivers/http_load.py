"""What the process of a load needs to send an `http` step over and over."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from scenarios.domain.errors import StepImpossible, StepNotSent
from scenarios.domain.tls_contexts import TlsFiles, build_context
from scenarios.drivers.gate import admit
from scenarios.drivers.web_credentials import build_authorization, choose_credentials, find_files
from scenarios.ports import Platform

_PORTS = {"http": 80, "https": 443}


async def prepare_load(arguments: Any, url: str, platform: Platform) -> Mapping[str, Any]:
    """The request as JSON values. Its addresses are resolved and pass the gate once, before it is sent.

    Raises:
        StepNotSent: the name of the host cannot be resolved.
        StepImpossible: the run may not touch what is there, or a certificate cannot be used.
    """
    place = urlsplit(url)
    scheme, host = place.scheme.lower(), place.hostname or ""
    if place.username or place.password:
        raise StepImpossible("a load takes no user and password in its URL; use 'auth'")
    credentials = choose_credentials(arguments, platform, arguments.service)
    files = find_files(credentials.tls) if credentials.tls is not None else TlsFiles()
    build_context(files)  # a file that cannot be used is better found here than in the process of the load
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
        "verify": files.verify,
        "ca": str(files.ca) if files.ca else None,
        "certificate": str(files.certificate) if files.certificate else None,
        "method": arguments.method,
        "headers": {"User-Agent": "test-coordinator", "Accept": "*/*", **arguments.headers},
        "authorization": build_authorization(credentials.auth),
        "query": arguments.query or [],
        "has_json": "json_body" in arguments.model_fields_set,
        "json": arguments.json_body,
        "body": arguments.body,
        "ok": arguments.ok,
    }
