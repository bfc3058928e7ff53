"""The bytes of a load's HTTP requests, for each choice of its values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote

from yarl import URL

from scenarios.domain.templates import format_scalar, substitute

MAX_KEPT_VARIANTS = 1_000


@dataclass(frozen=True, slots=True)
class Bytes:
    """A request around the `traceparent` header, which each request has for itself."""

    head: bytes
    rest: bytes


class Requests:
    """Builds the requests of a load. `draft` is what `Http.prepare_load` returns."""

    def __init__(self, draft: Mapping[str, Any], choose: Mapping[str, Sequence[Any]], seed: str) -> None:
        self._draft = draft
        self._choose = choose
        self._random = Random(seed)  # noqa: S311 - choices that a run can repeat
        self._built: dict[tuple[Any, ...], Bytes] = {}

    def draw(self) -> Bytes:
        """The next request; the same sequence for the same seed."""
        chosen = tuple(self._random.choice(values) for values in self._choose.values())
        found = self._built.get(chosen)
        if found is None:
            found = build_request(self._draft, dict(zip(self._choose, chosen, strict=True)))
            if len(self._built) < MAX_KEPT_VARIANTS:
                self._built[chosen] = found
        return found


def build_request(draft: Mapping[str, Any], chosen: Mapping[str, Any]) -> Bytes:
    # In a URL, a chosen value is one part of the path, whatever characters it has.
    quoted = {name: quote(format_scalar(value), safe="") for name, value in chosen.items()}
    url = URL(str(substitute(draft["url"], quoted)))
    filled = substitute({word: draft[word] for word in ("headers", "query", "json", "body")}, chosen)
    if filled["query"]:
        url = url.extend_query([(name, format_scalar(value)) for name, value in filled["query"]])
    content = b""
    # Credentials are not filled in: a secret may look like a chosen value.
    headers = {name: format_scalar(value) for name, value in filled["headers"].items()} | draft.get(
        "authorization", {}
    )
    given = {name.lower() for name in headers}
    if draft["has_json"]:
        content = json.dumps(filled["json"]).encode()
        if "content-type" not in given:
            headers["Content-Type"] = "application/json"
    elif filled["body"] is not None:
        content = format_scalar(filled["body"]).encode()
    if "host" not in given:
        default = url.is_default_port()
        headers = {
            "Host": (url.raw_host or "") if default else f"{url.host_subcomponent}:{url.port}",
            **headers,
        }
    if content or draft["method"] in {"POST", "PUT", "PATCH"}:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        headers["Content-Length"] = str(len(content))
    lines = [f"{draft['method']} {url.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {_check_line(value)}" for name, value in headers.items()]
    return Bytes("\r\n".join([*lines, "traceparent: "]).encode("utf-8"), b"\r\n\r\n" + content)


def _check_line(value: str) -> str:
    """The value of a header; a chosen one must not begin another header."""
    if not value.isprintable():
        raise ValueError(f"{value[:80]!r} is not a value of a header: write one printable line")
    return value
