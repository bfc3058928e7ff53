"""The verb api: any request of the API, for what has no verb."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from http.client import responses as REASONS  # noqa: N812 - a constant there, too
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.api_fields import (
    Field,
    build_object,
    build_query,
    parse_raw_field,
    parse_typed_field,
)
from coordinator_client.command_line.coordinator import CommandRefused, Coordinator
from coordinator_client.command_line.files import find_file, read_content
from coordinator_client.command_line.verbs import Session, add_verb
from coordinator_client.errors import CoordinatorError, RefusedError, UnexpectedAnswerError

if TYPE_CHECKING:
    from coordinator_client.exchanges import Response

PREFIX = "/api/v1/"
READING = {"GET", "HEAD"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
HELP = "Send a request to the API, and write the response. An example: api 'runs?status=failed'."
# What addresses and queries are made of; everything else is escaped.
UNRESERVED = "/?&=%:,+@!$'()*;~.-_"


def add_to(verbs: Any) -> None:
    parser = add_verb(verbs, send_request, "api", HELP)
    parser.add_argument("path", metavar="PATH", help="What follows /api/v1/ in the address.")
    parser.add_argument(
        "-X",
        "--method",
        type=str.upper,
        choices=METHODS,
        help="Default: GET, or POST with '--input' or fields.",
    )
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        type=_parse_header,
        metavar="NAME:VALUE",
        dest="headers",
        help="Send this header, such as 'If-Match: …'; can be repeated.",
    )
    parser.add_argument(
        "--input", metavar="FILE", help="Send this file as the body; '-' is standard input.", dest="source"
    )
    _add_fields(parser)
    parser.add_argument(
        "-i", "--include", action="store_true", help="Write the status and the headers of the response, too."
    )
    parser.add_argument("--paginate", action="store_true", help="Read all pages of a list.")


def _add_fields(parser: ArgumentParser) -> None:
    where = "of the JSON body, or with GET or '--input' a parameter of the address; can be repeated."
    parser.add_argument(
        "-f",
        "--raw-field",
        action="append",
        default=[],
        type=parse_raw_field,
        metavar="NAME=VALUE",
        dest="fields",
        help=f"A text {where}",
    )
    parser.add_argument(
        "-F",
        "--field",
        action="append",
        default=[],
        type=parse_typed_field,
        metavar="NAME=VALUE",
        dest="fields",
        help=f"A value {where} true, false, null and numbers are what they are in JSON; '@FILE' is the "
        "content of a file, '@-' of standard input.",
    )


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.replace("-", "").isalnum() or not text.isascii() or not text.isprintable():
        raise ArgumentTypeError(f"invalid header {text!r}; write it as NAME:VALUE")
    return name.title(), value.strip()


def send_request(
    session: Session,
    path: str,
    *,
    headers: list[tuple[str, str]],
    fields: list[Field],
    include: bool,
    paginate: bool,
    **options: Any,
) -> int:
    source: str | None = options["source"]
    method = options["method"] or ("GET" if source is None and not fields else "POST")
    if paginate and method != "GET":
        raise CommandRefused(f"'--paginate' reads lists; it cannot be used with {method}.")
    if paginate and include:
        raise CommandRefused("'--include' shows one response; use it without '--paginate'.")
    include = include or method == "HEAD"  # which has nothing else
    coordinator = session.coordinator
    address = _locate(coordinator.place, path)
    content = b""
    if source is not None:
        content = read_content(find_file(Path(source)))
    if fields and (source is not None or method in READING):
        address += f"{'&' if '?' in address else '?'}{urlencode(build_query(fields))}"
    elif fields:
        content = json.dumps(build_object(fields)).encode()
    sent = {"Content-Type": _find_type(method, source)} if content else {}
    try:
        if paginate:
            session.terminal.document({"items": _read_pages(coordinator, address, dict(headers))})
            return exit_codes.DONE
        response = coordinator.request(method, address, content=content, headers={**sent, **dict(headers)})
    except CoordinatorError as error:
        if error.response is None:
            raise
        _write(session, error.response, include=include)
        _explain(session, address, error)
        return exit_codes.find_refusal_code(error)
    _write(session, response, include=include)
    return exit_codes.DONE


def _format_head(response: "Response") -> bytes:
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, '')}".rstrip()]
    lines += [f"{name.title()}: {value}" for name, value in response.headers.items()]
    return "".join(f"{line}\n" for line in (*lines, "")).encode()


def _find_type(method: str, source: str | None) -> str:
    if method == "PATCH":
        return "application/merge-patch+json"
    return "application/yaml" if Path(source or "").suffix in {".yaml", ".yml"} else "application/json"


def _locate(server: str, path: str) -> str:
    """The address below /api/v1/, also where a whole one of this server is given, as in `Location`."""
    own = path.removeprefix(f"{server}/")
    if "://" in own.partition("?")[0]:
        raise CommandRefused(f"{path!r} is not an address of {server}; give what follows {PREFIX}.")
    below = f"/{own.removeprefix('/')}".partition(PREFIX)[2] or own.removeprefix("/")
    return quote(below, safe=UNRESERVED)


def _read_pages(coordinator: Coordinator, address: str, headers: dict[str, str]) -> list[Any]:
    items: list[Any] = []
    page_address = address
    while True:
        page = coordinator.request("GET", page_address, headers=headers).json(coordinator.place)
        try:
            items += page["items"]
            cursor = page["next_cursor"]
        except (KeyError, TypeError):
            raise UnexpectedAnswerError(coordinator.place, "without a list") from None
        if not cursor:
            return items
        page_address = f"{address}{'&' if '?' in address else '?'}{urlencode({'cursor': cursor})}"


def _write(session: Session, response: "Response", *, include: bool) -> None:
    """The body of an error, too, as `gh api` does: a program reads the error's code there."""
    if include:
        session.terminal.text(_format_head(response))
    if response.content and "json" in response.headers.get("content-type", ""):
        session.terminal.document(response.json(session.coordinator.place))
    else:
        session.terminal.text(response.content.decode(errors="replace").encode())


def _explain(session: Session, address: str, error: CoordinatorError) -> None:
    """Each error with its place: the request was written by hand."""
    if not isinstance(error, RefusedError):
        session.terminal.complain(str(error))
        return
    sentence = (
        f"There is nothing at '{PREFIX}{address}'." if error.code == "no_such_address" else error.sentence
    )
    session.terminal.complain(f"{sentence} ({error.status}{f', {error.code}' if error.code else ''})")
    for item in error.errors:
        hint = f"; {item['hint']}" if item.get("hint") else ""
        line = f"line {item['line']}, column {item.get('column', 1)}" if item.get("line") else ""
        place = ", ".join(filter(None, (item.get("path"), line)))
        session.terminal.complain(f"{place}: {item.get('message', '')}{hint}")
