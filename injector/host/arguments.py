"""Reads the values of requests; each function refuses a value of another kind."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any, Dict, Mapping, Sequence, Tuple

MIN_LEASE = 1.0
MAX_LEASE = 3600.0
# The mark before the last line of a program that is streamed with its request.
REQUEST_MARK = "# request: "
# The mark before the length of a program that is streamed before its requests.
SERVE_MARK = "# serve: "
# Python 3.8 does not have dict[str, Any].
Record = Dict[str, Any]
Json = Dict[str, Any]
Process = Tuple[int, int]


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the program
    """The request is not carried out. `code`: impossible, not_done, gone or failed."""

    def __init__(self, reason: str, code: str = "impossible") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def get_text(arguments: Mapping[str, Any], word: str) -> str:
    value = arguments.get(word)
    if not isinstance(value, str) or not value or "\0" in value:
        raise Refusal(f"{word}={value!r} must be text")
    return value


def get_number(
    arguments: Mapping[str, Any], word: str, least: float, most: float, default: float | None = None
) -> float:
    value = arguments.get(word, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise Refusal(f"{word}={value!r} must be a number from {least:g} to {most:g}")
    return value


def get_whole(
    arguments: Mapping[str, Any], word: str, least: int, most: int, default: int | None = None
) -> int:
    value = get_number(arguments, word, least, most, default)
    if value != int(value):
        raise Refusal(f"{word}={value!r} must be a whole number")
    return int(value)


def get_port(arguments: Mapping[str, Any], word: str) -> int:
    return get_whole(arguments, word, 1, 65_535)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Raises Refusal: it is not the address of a host."""
    try:
        address = ipaddress.ip_address(text.replace("%", "/"))  # without the zone of an interface
    except ValueError as error:
        raise Refusal(f"{text!r} is not an IP address; write it as '10.0.0.7'") from error
    return getattr(address, "ipv4_mapped", None) or address


def check_words(arguments: Mapping[str, Any], kind: str, words: Sequence[str]) -> None:
    for word in arguments:
        if word not in words:
            raise Refusal(f"{kind!r} has no {word!r}; it takes {', '.join(words)}")


def get_directory(arguments: Mapping[str, Any], default: str | None = None) -> str:
    path = get_text({"path": default, **arguments} if default else arguments, "path")
    if not path.startswith("/") or not os.path.isdir(path):
        raise Refusal(f"path={path!r} is not a directory of this host")
    if os.path.realpath(path) != os.path.normpath(path):
        raise Refusal(f"path={path!r} leads elsewhere: name {os.path.realpath(path)!r}")
    if not os.access(path, os.W_OK | os.X_OK):
        raise Refusal(f"path={path!r} may not be written to")
    return path


def get_id(request: Mapping[str, Any]) -> str:
    fault_id = request.get("id")
    if not isinstance(fault_id, str) or not re.fullmatch(r"[A-Za-z0-9._:/-]{1,128}", fault_id):
        raise Refusal(f"id={fault_id!r} is not an id; use letters, digits and . _ : / -")
    return fault_id


def get_lease(request: Mapping[str, Any]) -> float:
    return get_number(request, "lease", MIN_LEASE, MAX_LEASE)
