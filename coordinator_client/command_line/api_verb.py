"""The verb api: any request of the API, for what has no verb."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.coordinator import CommandRefused, Coordinator
from coordinator_client.command_line.files import find_file, read_content
from coordinator_client.command_line.verbs import Session, add_verb
from coordinator_client.errors import RefusedError, UnexpectedAnswerError

if TYPE_CHECKING:
    from coordinator_client.exchanges import Response

PREFIX = "/api/v1/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
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
        help="Default: GET, or POST with '--input'.",
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
    parser.add_argument("--paginate", action="store_true", help="Read all pages of a list.")


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.replace("-", "").isalnum() or not text.isascii() or not text.isprintable():
        raise ArgumentTypeError(f"invalid header {text!r}; write it as NAME:VALUE")
    return name.title(), value.strip()


def send_request(
    session: Session,
    path: str,
    *,
    method: str | None,
    headers: list[tuple[str, str]],
    source: str | None,
    paginate: bool,
    **_options: Any,
) -> int:
    method = method or ("GET" if source is None else "POST")
    if paginate and method != "GET":
        raise CommandRefused(f"'--paginate' reads lists; it cannot be used with {method}.")
    content = b"" if source is None else read_content(find_file(Path(source)))
    sent = {"Content-Type": _find_type(method, source)} if content else {}
    coordinator = session.coordinator
    address = _locate(coordinator.place, path)
    try:
        if paginate:
            session.terminal.document({"items": _read_pages(coordinator, address, dict(headers))})
            return exit_codes.DONE
        response = coordinator.request(method, address, content=content, headers={**sent, **dict(headers)})
    except RefusedError as error:
        _explain(session, address, error)
        return exit_codes.find_refusal_code(error)
    _write(session, response)
    return exit_codes.DONE


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


def _write(session: Session, response: "Response") -> None:
    if response.content and "json" in response.headers.get("content-type", ""):
        session.terminal.document(response.json(session.coordinator.place))
    else:
        session.terminal.text(response.content)


def _explain(session: Session, address: str, error: RefusedError) -> None:
    """Each error with its place: the request was written by hand."""
    sentence = f"There is nothing at '{PREFIX}{address}'." if error.code == "no_such_address" else str(error)
    session.terminal.complain(f"{sentence} ({error.status}{f', {error.code}' if error.code else ''})")
    for item in error.errors:
        hint = f"; {item['hint']}" if item.get("hint") else ""
        session.terminal.complain(f"{item.get('path', '')}: {item.get('message', '')}{hint}")
