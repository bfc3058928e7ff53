"""Settings that are addresses, and what requests to them need."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

MAIL_SCHEMES = frozenset({"smtp", "smtp+tls", "smtp+ssl"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HOST_NAME = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
# What the site's own addresses begin with.
OWN_PLACES = frozenset({"admin", "api", "badges", "favicon.ico", "metrics", "oidc", "static"})
_PLACE = re.compile(r"\{(\w+)\}")
CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def networks(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """IP networks in CIDR notation."""
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} contains {value!r}, which is not a network ({error}); write it as '10.0.0.0/8'."
            ) from error
    return tuple(values)


def web_address(name: str, value: str) -> str:
    """An http(s) URL, or nothing."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, an invalid port
        fits = False
    if value and not fits:
        raise ImproperlyConfigured(
            f"{name}={value!r} is not a web address; write it as 'http://127.0.0.1:9090'."
        )
    return value


def url_prefix(public_url: str, script_name: str) -> str:
    """The path of PUBLIC_URL, below which a proxy shows the site; "" where it shows nothing else.

    Raises:
        ImproperlyConfigured: the path cannot be a prefix, or gunicorn's SCRIPT_NAME is another one.
    """
    prefix = urlsplit(public_url).path.rstrip("/")
    if prefix and (not PREFIX.fullmatch(prefix) or prefix.split("/")[1] in OWN_PLACES):
        raise ImproperlyConfigured(
            f"PUBLIC_URL={public_url!r}: the path {prefix!r} cannot be the prefix of the site; use letters, "
            "digits, '.', '-' and '_', as in '/coordinator', and do not begin with one of "
            f"{', '.join(sorted(OWN_PLACES))}, which are in the site itself."
        )
    if script_name.rstrip("/") not in {"", prefix}:
        raise ImproperlyConfigured(
            f"SCRIPT_NAME={script_name!r} is not the path of PUBLIC_URL={public_url!r}: write it there, and "
            "remove SCRIPT_NAME, with which gunicorn answers no request without the prefix."
        )
    return prefix


def web_addresses(name: str, values: Iterable[str]) -> tuple[str, ...]:
    return tuple(web_address(name, value.strip()) for value in values if value.strip())


def mail_server(name: str, value: str) -> str:
    """An address that django-environ's `email_url` takes, or nothing."""
    try:
        parts = urlsplit(value)
        fits = parts.scheme in MAIL_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an unclosed bracket, an invalid port
        fits = False
    if value and not fits:
        raise ImproperlyConfigured(
            f"{name} is not the address of a mail server; write it as "
            "'smtp+tls://user:password@mail.example.com:587', or with smtp:// or smtp+ssl://."
        )
    return value


def mailbox(name: str, value: str) -> str:
    if not re.fullmatch(r"([^<>@]+ <)?[^<>@\s]+@[^<>@\s]+>?", value):
        raise ImproperlyConfigured(f"{name}={value!r} is not a mailbox; write it as 'runs@example.com'.")
    return value


def trace_address(name: str, value: str) -> str:
    """The address of a page that shows a trace, with '{trace_id}' where its id belongs and '{span_id}' where
    that of the span does, or nothing.
    """
    if value and "{trace_id}" not in value:
        raise ImproperlyConfigured(
            f"{name}={value!r} does not say where the id of the trace belongs; write it as "
            "'https://jaeger.example.com/trace/{trace_id}'."
        )
    if unknown := sorted(set(_PLACE.findall(value)) - {"trace_id", "span_id"}):
        raise ImproperlyConfigured(
            f"{name} has an unknown place {{{unknown[0]}}}; use '{{trace_id}}' and '{{span_id}}'."
        )
    return web_address(name, value)


def header_values(name: str, values: Iterable[str]) -> dict[str, str]:
    """HTTP headers, each as 'name=value', percent-encoded as OpenTelemetry specifies."""
    found: dict[str, str] = {}
    for value in values:
        header, equals, content = value.partition("=")
        header, content = header.strip(), unquote(content.strip())
        if not equals or not _HEADER_NAME.fullmatch(header) or not content.isprintable():
            # Without the value, which may be a password.
            raise ImproperlyConfigured(
                f"{name} has {header!r}, which is not a header; write each as 'name=value'."
            )
        found[header] = content
    return found


def with_time_limits(redis_url: str) -> str:
    """The URL of Redis with socket timeouts in seconds, unless it has its own.

    RQ's workers, which wait for messages, raise the timeout for themselves.
    """
    parts = urlsplit(redis_url)
    limits = {"socket_timeout": "2", "socket_connect_timeout": "2"}
    query = {**limits, **dict(parse_qsl(parts.query, keep_blank_values=True))}
    return urlunsplit(parts._replace(query=urlencode(query)))


def host_names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Hosts as in ALLOWED_HOSTS, without '*'; '.example.com' stands for that name and its subdomains."""
    for value in values:
        if not HOST_NAME.fullmatch(value):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use host names without a port, as in "
                f"'hooks.example.com' or '.example.com'; there is no name for all hosts."
            )
    return tuple(value.lower() for value in values)


def certificate_name(name: str, value: str) -> str:
    """The name of a file in CERTIFICATE_DIR, or nothing."""
    if value and not CERTIFICATE_NAME.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is not the name of a file in CERTIFICATE_DIR, such as 'prometheus-ca.pem'."
        )
    return value


def prometheus_auth(*, token: str, user: str, password: str) -> dict[str, Any]:
    """`auth` of the requests to PROMETHEUS_URL, with references to secrets."""
    if token and (user or password):
        raise ImproperlyConfigured(
            "PROMETHEUS_TOKEN_SECRET cannot be combined with PROMETHEUS_USER and PROMETHEUS_PASSWORD_SECRET: "
            "set one or the other."
        )
    if bool(user) != bool(password):
        missing = "PROMETHEUS_PASSWORD_SECRET" if user else "PROMETHEUS_USER"
        raise ImproperlyConfigured(f"{missing} is missing: a user needs a password, and the other way round.")
    if ":" in user or not user.isprintable():
        # https://www.rfc-editor.org/rfc/rfc7617#section-2
        raise ImproperlyConfigured(
            f"PROMETHEUS_USER={user!r} contains ':', which would end the user's name, or a control character."
        )
    if user:
        return {"basic": {"user": user, "password": f"${{secret:{password}}}"}}
    return {"bearer": f"${{secret:{token}}}"} if token else {}


def prometheus_tls(*, verify: bool, ca: str, certificate: str) -> dict[str, Any]:
    """`tls` of the requests to PROMETHEUS_URL."""
    if ca and not verify:
        raise ImproperlyConfigured("PROMETHEUS_CA has no effect with PROMETHEUS_VERIFY=false: remove one.")
    found = {"ca": ca, "certificate": certificate}
    return ({} if verify else {"verify": False}) | {word: file for word, file in found.items() if file}
