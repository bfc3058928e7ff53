"""The addresses that services, fault proxies and hosts are registered with.

Each function raises ValueError with a sentence for people: the value, the rule, and a hint.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

# By scheme, the port of an address that names none; 0 where it must name one.
DEFAULT_PORTS: Mapping[str, int] = {
    "http": 80,
    "https": 443,
    "tcp": 0,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "grpc": 0,
}
WEB_SCHEMES = ("http", "https")
SSH_PORT = 22
MAX_PORT = 65535
MAX_HOST_LENGTH = 253
_EXAMPLES: Mapping[str, str] = {
    "http": "http://127.0.0.1:9101",
    "https": "https://shop.example.com",
    "tcp": "tcp://127.0.0.1:9000",
    "postgres": "postgres://127.0.0.1:5432/shop",
    "postgresql": "postgresql://127.0.0.1:5432/shop",
    "redis": "redis://127.0.0.1:6379/0",
    "grpc": "grpc://127.0.0.1:50051",
}
# Letters of all scripts, because names may be internationalised; '_' as in the names of containers.
_HOST_NAME = re.compile(r"\w(?:[\w-]{0,61}\w)?(?:\.\w(?:[\w-]{0,61}\w)?)*\.?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.$-]{0,63}")
_PATHS: Mapping[str, re.Pattern[str]] = {
    "tcp": re.compile(r"/?"),
    "grpc": re.compile(r"/?"),
    "redis": re.compile(r"(?:/[0-9]{0,5})?"),
    "postgres": re.compile(r"(?:/[^/]*)?"),
    "postgresql": re.compile(r"(?:/[^/]*)?"),
}


@dataclass(frozen=True, slots=True)
class HostAndPort:
    """An IPv6 address is without its brackets here, and has them in text."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServiceUrl:
    """`path` is what follows the port: the number or name of a database, or the beginning of HTTP paths."""

    scheme: str
    place: HostAndPort
    path: str = ""

    @property
    def is_web(self) -> bool:
        return self.scheme in WEB_SCHEMES


def parse_service_url(
    text: str, schemes: tuple[str, ...] = tuple(DEFAULT_PORTS), *, may_have_user: bool = False
) -> ServiceUrl:
    """Check the address of a service, such as `http://shop:8080` or `postgres://db:5432/shop`.

    Raises:
        ValueError: it is not such an address, has another scheme, or contains a user or a password; with
            `may_have_user`, a web address may.
    """
    scheme, parts = _split(text, schemes)
    if "@" in parts.netloc and not (may_have_user and scheme in WEB_SCHEMES):
        # Without the value: it may contain a password.
        raise ValueError(
            f"leave the user and the password out of the {scheme} address, because everybody may read it; "
            "credentials come from secrets, which steps name as '${secret:NAME}'"
        )
    if scheme in WEB_SCHEMES and ("?" in text or "#" in text):
        # The paths of all steps would become a part of the query, or be left out.
        raise ValueError(
            f"the {scheme} address must end before '?' and '#', because the paths of steps are appended to "
            f"it; write it as {_EXAMPLES[scheme]}"
        )
    if "?" in text or "#" in text:
        # Without the value, for the same reason.
        raise ValueError(
            f"the {scheme} address must end after the host, the port and the database, as {_EXAMPLES[scheme]}"
        )
    if scheme in _PATHS and not _PATHS[scheme].fullmatch(parts.path):
        rule = "the number of a database" if scheme == "redis" else "nothing else"
        raise ValueError(f"{text[:80]!r} may have {rule} after the port; write it as {_EXAMPLES[scheme]}")
    netloc = parts.netloc.rpartition("@")[2]
    place = _parse_place(netloc, text, default_port=DEFAULT_PORTS[scheme], example=_EXAMPLES[scheme])
    return ServiceUrl(scheme, place, parts.path)


def parse_host_and_port(text: str) -> HostAndPort:
    """Check `HOST:PORT`, such as `127.0.0.1:5433` or `[::1]:5433`.

    Raises:
        ValueError: it has no host or no port.
    """
    return _parse_place(text, text, default_port=0, example="127.0.0.1:5433")


def parse_listener(text: str) -> HostAndPort:
    """As `parse_host_and_port`; an IPv6 address may lack its brackets, as in the name that a proxy gives it.

    Raises:
        ValueError: it has no host or no port.
    """
    host, _colon, port = text.rpartition(":")
    return parse_host_and_port(f"[{host}]:{port}" if _is_ipv6(host) else text)


def parse_ssh_address(text: str) -> tuple[str, HostAndPort]:
    """Check `USER@HOST[:PORT]`; returns the user, and where ssh connects to.

    Raises:
        ValueError: it is not such an address.
    """
    example = "chaos@shop-1.example.com:22"
    user, at, place = text.rpartition("@")
    if ":" in user:  # without the value: it may contain a password
        raise ValueError(f"leave the password out: hosts are reached with keys; write it as {example}")
    if not at or not _USER.fullmatch(user):
        raise ValueError(f"{text[:80]!r} names no user; write it as {example}")
    return user, _parse_place(place, text, default_port=SSH_PORT, example=example)


def format_ssh_address(text: str) -> str:
    """The address with its port written out; "" stays as it is."""
    if not text:
        return ""
    user, place = parse_ssh_address(text)
    return f"{user}@{place}"


def _split(text: str, schemes: tuple[str, ...]) -> tuple[str, SplitResult]:
    known = ", ".join(f"{scheme}://" for scheme in schemes)
    if not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"{text[:80]!r} is not a URL: it contains a space or a control character")
    scheme, separator, _rest = text.partition("://")
    if not separator:
        raise ValueError(f"{_hide_user(text)!r} is not a URL: begin it with one of {known}")
    if scheme.lower() not in schemes:
        raise ValueError(f"unknown scheme {scheme[:80]!r}; begin the URL with one of {known}")
    try:
        return scheme.lower(), urlsplit(text)
    except ValueError as error:
        raise ValueError(f"{_hide_user(text)!r} is not a URL: {error}") from None


def _hide_user(text: str) -> str:
    return text[:80].rpartition("@")[2]


def _parse_place(text: str, whole: str, *, default_port: int, example: str) -> HostAndPort:
    host, port = _split_place(text)
    if ":" in port:
        raise ValueError(f"{whole[:80]!r} has an IPv6 address without brackets; write it as [::1]:8080")
    if not host:
        raise ValueError(f"{whole[:80]!r} has no host; write it as {example}")
    if not _is_host(host):
        raise ValueError(f"{host[:80]!r} in {whole[:80]!r} is not a host; write it as {example}")
    if not port and default_port:
        return HostAndPort(host.removeprefix("[").removesuffix("]"), default_port)
    if not port:
        raise ValueError(f"{whole[:80]!r} has no port; write it as {example}")
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= MAX_PORT:
        raise ValueError(f"{port[:80]!r} in {whole[:80]!r} is not a port: use a number from 1 to {MAX_PORT}")
    return HostAndPort(host.removeprefix("[").removesuffix("]"), int(port))


def _split_place(text: str) -> tuple[str, str]:
    """Host and port; an IPv6 address keeps its brackets."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        return host + bracket, rest.removeprefix(":") if rest[:1] in {"", ":"} else rest
    host, _colon, port = text.partition(":")
    return host, port


def _is_host(host: str) -> bool:
    if host.startswith("["):
        address, _percent, zone = host.removeprefix("[").removesuffix("]").partition("%")
        return host.endswith("]") and _is_ipv6(address) and (not zone or zone.isalnum())
    return len(host) <= MAX_HOST_LENGTH and _HOST_NAME.fullmatch(host) is not None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
