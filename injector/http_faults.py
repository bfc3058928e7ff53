"""Faults of HTTP/1.1: which requests have them, and what happens then."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from importlib import import_module
from typing import Any

from injector.values import (
    FaultError,
    parse_fields,
    parse_seconds,
    parse_share,
    parse_text,
    parse_whole,
)

EFFECTS = ("status", "delay", "set_headers", "body", "truncate")
MAX_REQUESTS = 1 << 53
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORIGIN = re.compile(rb"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


@dataclass(frozen=True, slots=True)
class HttpFault:
    """`method`, `path` and `headers` choose requests, the other fields say what happens to them."""

    method: str = ""
    """In capitals; "" for each."""
    path: str = ""
    """Without the query; one that ends with `*` is a prefix, "" stands for each."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the request has, by name in lower case."""
    status: int = 0
    """The proxy answers with this status, and the request does not go on; 0 for the upstream's answer."""
    delay: float = 0.0
    """Seconds before the request goes on, or before the proxy answers."""
    set_headers: Mapping[str, str] = field(default_factory=dict)
    """Set in the response, instead of those of the same name."""
    body: str | None = None
    """The proxy answers with it; the status is then 200 if none is given."""
    truncate: int | None = None
    """The connection is closed after so many bytes of the response's body."""
    first: int = 0
    """How many requests have the fault; 0 for no limit."""
    share: float = 1.0
    """The share of requests that have it, of those that are chosen otherwise."""
    seed: int = 0

    @property
    def is_answer(self) -> bool:
        return bool(self.status) or self.body is not None


def parse_http_fault(given: object, share: float, seed: int) -> HttpFault:
    """The fault of a JSON object, which may have its own share and seed.

    Raises:
        FaultError: the object makes no sense, or h11 is missing.
    """
    values = parse_fields(given, _PARSERS, "'http'", "{'path': '/', 'status': 503}")
    fault = HttpFault(**{"share": share, "seed": seed, **values})
    if not any(name in values for name in EFFECTS):
        raise FaultError(f"'http' has no effect; give at least one of {', '.join(EFFECTS)}")
    try:
        import_module("h11")
    except ImportError as error:
        raise FaultError(
            "HTTP faults need the Python package h11 on the proxy's machine: 'pip install h11' for the "
            "Python that runs the proxy, or use TCP faults"
        ) from error
    return fault


@dataclass(slots=True)
class HttpRule:
    """A fault, and how many requests it could have been for."""

    fault: HttpFault
    seen: int = 0
    hits: int = 0

    def takes(self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether this request has the fault; counts it."""
        if not _is_meant(self.fault, method, target, headers):
            return False
        self.seen += 1
        is_taken = is_chosen(self.fault.share, self.fault.seed, self.seen)
        is_taken &= not self.fault.first or self.hits < self.fault.first
        self.hits += is_taken
        return is_taken


def is_chosen(share: float, seed: int, number: int) -> bool:
    """Whether the connection or request of this number is in the share: the same for the same seed."""
    if share >= 1:
        return True
    digest = blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _is_meant(fault: HttpFault, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    if fault.method and method.upper() != fault.method.encode():
        return False
    path = _ORIGIN.sub(b"", target).partition(b"?")[0] or b"/"
    wanted = fault.path.encode()
    if fault.path and not (path.startswith(wanted[:-1]) if wanted.endswith(b"*") else path == wanted):
        return False
    if not fault.headers:
        return True
    found = [(name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in headers]
    return all(pair in found for pair in fault.headers.items())


def _parse_method(name: str, value: object) -> str:
    text = parse_text(name, value)
    if not _TOKEN.fullmatch(text):
        raise FaultError(f"{name}={value!r} is not a method; give one such as 'POST'")
    return text.upper()


def _parse_path(name: str, value: object) -> str:
    text = parse_text(name, value)
    if not text.startswith("/") or "*" in text[:-1] or "?" in text:
        raise FaultError(f"{name}={value!r} is not a path; give one such as '/charge' or '/api/*'")
    return text


def _parse_headers(name: str, value: object, *, is_lowered: bool = False) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise FaultError(f"{name}={value!r} is not an object of names and values")
    for header, text in value.items():
        if not _TOKEN.fullmatch(str(header)) or not isinstance(text, str) or not text.isprintable():
            raise FaultError(
                f"{name} has {header!r}: {text!r}, which is not a header; give one printable line"
            )
        if not text.isascii() and len(text.encode("latin-1", "ignore")) != len(text):
            raise FaultError(f"{name} has {header!r}: {text!r}, which has characters outside Latin-1")
    return {
        str(header).lower() if is_lowered else str(header): text.strip() for header, text in value.items()
    }


_PARSERS: Mapping[str, Any] = {
    "method": _parse_method,
    "path": _parse_path,
    "headers": partial(_parse_headers, is_lowered=True),
    "status": partial(parse_whole, least=200, most=599),
    "delay": parse_seconds,
    "set_headers": _parse_headers,
    "body": parse_text,
    "truncate": parse_whole,
    "first": partial(parse_whole, least=1, most=MAX_REQUESTS),
    "share": parse_share,
    "seed": partial(parse_whole, most=MAX_REQUESTS),
}
