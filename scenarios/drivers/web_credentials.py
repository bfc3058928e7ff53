"""What the words `auth` and `tls` of a step, or of its service, mean for its requests."""

import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.templates import find_secrets
from scenarios.domain.tls_contexts import TlsFiles, build_context
from scenarios.domain.web_words import Auth, Tls

# Also of a header's value: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
_UNSENDABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Credentials:
    auth: Auth | None = None
    tls: Tls | None = None


def choose_credentials(arguments: Any, platform: Any, service: str | None) -> Credentials:
    """The step's own words; where it has none, those of the service, or of PROMETHEUS_URL if that is "".

    `service` is None if the step names an address itself. A step with a header of its own for it needs no
    `auth`.
    """
    given = find_defaults(platform, service)
    own = arguments.model_fields_set
    auth, tls = getattr(arguments, "auth", None), getattr(arguments, "tls", None)
    if "auth" not in own and not _has_own_header(arguments):
        auth = Auth.model_validate(given["auth"]) if given.get("auth") else None
    if "tls" not in own:
        tls = Tls.model_validate(given["tls"]) if given.get("tls") else None
    return Credentials(auth, tls if isinstance(tls, Tls) else None)


def find_defaults(platform: Any, service: str | None) -> Mapping[str, Any]:
    ask = getattr(platform, "web_defaults", None)  # a site's own platform may have none
    return ask(service) if ask is not None and service is not None else {}


def _has_own_header(arguments: Any) -> bool:
    named = {**getattr(arguments, "headers", {}), **getattr(arguments, "metadata", {})}
    return any(name.lower() == "authorization" for name in named)


def check_credentials(arguments: Any, platform: Any, service: str | None) -> None:
    """Check that the files can be used, and that the secrets of the defaults are there.

    Raises:
        StepImpossible: one is not.
    """
    build_tls(choose_credentials(arguments, platform, service).tls)
    for name in sorted(find_secrets(dict(find_defaults(platform, service)))):
        platform.secret(name)


def build_authorization(auth: Auth | None) -> dict[str, str]:
    """The header `Authorization`, if there is one to send.

    Raises:
        StepImpossible: a secret cannot be sent in a header.
    """
    if auth is None:
        return {}
    if auth.bearer:
        value = f"Bearer {auth.bearer}"
    else:
        pair = f"{auth.basic.user}:{auth.basic.password}".encode("utf-8", "surrogatepass")
        value = f"Basic {base64.b64encode(pair).decode()}"
    if _UNSENDABLE.search(value):
        raise StepImpossible("the secret of 'auth' has a line break or another control character")
    return {"Authorization": value}


def build_tls(tls: Tls | None, protocol: str = "") -> ssl.SSLContext | None:
    """What a connection of this protocol is encrypted with; None for the default.

    Raises:
        StepImpossible: the site names no folder, a file is missing, or it is not what it should be.
    """
    return None if tls is None else build_context(replace(find_files(tls), protocol=protocol))


def find_files(tls: Tls) -> TlsFiles:
    """Where the files are.

    Raises:
        StepImpossible: the site names no folder.
    """
    ca, certificate = (_find_file(name) if name else None for name in (tls.ca, tls.certificate))
    return TlsFiles(tls.verify, ca, certificate)


def _find_file(name: str) -> Path:
    from django.conf import settings  # noqa: PLC0415 - drivers of HTTP are used without Django, too

    folder: Path | None = settings.CERTIFICATE_DIR
    if folder is None:
        raise StepImpossible(f"{name!r} is not allowed on this site: CERTIFICATE_DIR is empty")
    return folder / name
