"""The words of an `http` step, and what it returns."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration
from scenarios.domain.matchers import format_value
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import format_scalar
from scenarios.domain.web_words import Auth, Tls, find_credential_problems
from scenarios.drivers.http_exchange import check_web_address
from scenarios.drivers.reach import explain_unreachable

# The redirects that `follow_redirects` follows. https://www.rfc-editor.org/rfc/rfc9110#name-redirection-3xx
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCALAR = {"type": ["string", "number", "boolean"]}


def check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text[:80]!r} is not a path: it must begin with '/', for example '/health'")
    return text


def check_method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,32}", text):
        raise ValueError(f"{text[:40]!r} is not an HTTP method: use letters only, for example 'POST'")
    return text.upper()


def check_headers(headers: dict[str, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is not a header name: use letters, digits and '-'")
        if not _is_scalar(value) or not format_scalar(value).isprintable():
            raise ValueError(
                f"{format_value(value)} is not a value for the header {name!r}: write one printable line"
            )
    return {name: format_scalar(value) for name, value in headers.items()}


def _check_query(query: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, values in query.items():
        for value in values if isinstance(values, list) else [values]:
            if not _is_scalar(value):
                found = format_value(value)
                raise ValueError(f"{found} is not a value for {name!r}: use text, a number, true or false")
            pairs.append((name, format_scalar(value)))
    return pairs


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


class HttpReturned(Returned):
    status: int = Field(json_schema_extra=ALWAYS, ge=100, le=999, description="The status code.")
    headers: dict[str, str] = Field(json_schema_extra=ALWAYS, description="By name; not case-sensitive.")
    body: str = Field(json_schema_extra=ALWAYS, description="The body as text, at most 1 MiB.")
    json_body: Any = Field(alias="json", description="The body, if it is complete and JSON.")
    elapsed: float = Field(
        json_schema_extra=ALWAYS, ge=0, description="Seconds until the end of the response."
    )
    note: str = Field(description="A note, if the body was cut.")


class HttpArguments(Declaration):
    """`service` and `path`, or `url`; at most one of `json` and `body`.

    With `cookies: keep`, a step keeps the cookies that its response sets, and sends those that earlier steps
    of the run kept of the same service. Only the origin that set a cookie gets it. Cookies are in memory
    alone: they are lost if another worker takes the run over.
    """

    Returns: ClassVar[type[Returned]] = HttpReturned
    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    path: Annotated[str, AfterValidator(check_path)] = "/"
    url: Annotated[str, AfterValidator(check_web_address)] = Field(ABSENT)
    method: Annotated[str, AfterValidator(check_method)] = "GET"
    query: Annotated[
        dict[str, Any],
        AfterValidator(_check_query),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": [*_SCALAR["type"], "array"]}}),
    ] = {}
    headers: Annotated[
        dict[str, Any],
        AfterValidator(check_headers),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = {}
    json_body: Any = Field(ABSENT, alias="json")
    body: str = Field(ABSENT)
    timeout: PositiveDuration = 30.0
    follow_redirects: bool = False
    auth: Auth = Field(ABSENT)
    tls: Tls = Field(ABSENT)
    cookies: Literal["keep"] = Field(ABSENT)
    ok: Annotated[list[Annotated[int, Field(ge=100, le=599), WHOLE]], Field(min_length=1)] = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for word in ("url", "follow_redirects"):
            if values.get(word) and (sentence := explain_unreachable(repr(word))):
                yield word, sentence
        if "url" in values:
            for word in ("service", "path"):
                if word in values:
                    yield word, f"{word!r} and 'url' cannot be combined: a URL is the whole address"
        elif "service" not in values:
            yield "", "the step has no address: give 'service' and 'path', or 'url'"
        yield from find_credential_problems(values, "url")
        if "json" in values and "body" in values:
            yield "body", "'body' and 'json' cannot be combined: a request has one body"
        if values.get("follow_redirects") is True and isinstance(ok := values.get("ok"), list):
            for status in sorted(
                _FOLLOWED.intersection(number for number in ok if type(number) in {int, float})
            ):
                yield (
                    "ok",
                    f"'follow_redirects' follows {status}: name the status after the redirect",
                )
