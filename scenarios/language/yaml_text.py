"""Checks of a document's text before it is parsed."""

import re

from scenarios.domain.errors import InvalidDocument, Problem

MAX_BYTES = 256 * 1024
# The characters that YAML 1.2 forbids, and more that would cause trouble in a terminal, log or database.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_JSON_ESCAPE = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE | re.DOTALL)
# The last quote may be missing. Searching for it again from every quote would take quadratic time.
_QUOTED_OR_TAB = re.compile(r'"(?:[^"\\]|\\.)*"?|\t', re.DOTALL)
_LINE = re.compile(r"[^\n]*\n?")


def decode_text(source: str | bytes) -> str:
    """Return the text for the YAML parser.

    Raises:
        InvalidDocument: the text is too large, not UTF-8, or contains control characters.
    """
    text = (_decode(source) if isinstance(source, bytes) else _check_text(source)).removeprefix("\ufeff")
    if found := _CONTROL.search(text):
        what = "a NUL byte" if found[0] == "\0" else f"the control character {found[0]!r}"
        raise build_refusal(
            text, found.start(), f"the text contains {what}", "remove it: a document is printable text"
        )
    _refuse_tag_directives(text)
    return _convert_json(text) if text.lstrip().startswith(("{", "[")) else text


def build_refusal(text: str, offset: int, message: str, hint: str = "") -> InvalidDocument:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return InvalidDocument([Problem(line, column, "", message, hint)])


def holds_control_characters(text: str) -> bool:
    return _CONTROL.search(text) is not None


def _check_text(source: str) -> str:
    # Lone surrogates have no UTF-8 form; they are refused later, with their position.
    size = len(source) if source.isascii() else len(source.encode("utf-8", "surrogatepass"))
    _refuse_size(size)
    return source


def _decode(source: bytes) -> str:
    _refuse_size(len(source))
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        read = source[: error.start].decode("utf-8")
        raise build_refusal(
            read,
            len(read),
            f"the byte {source[error.start : error.start + 1]!r} is not valid UTF-8",
            "save the document in UTF-8",
        ) from error


def _refuse_size(size: int) -> None:
    if size > MAX_BYTES:
        raise build_refusal(
            "",
            0,
            f"the document has {size} bytes; the limit is {MAX_BYTES} (256 KiB)",
            "split it into several scenarios",
        )


def _refuse_tag_directives(text: str) -> None:
    """Libyaml takes quadratic time for them, and no document of this language needs one."""
    offset = 0
    while (line := _LINE.match(text, offset)) and line[0]:
        if line[0].startswith("%TAG"):
            raise build_refusal(
                text,
                offset,
                "'%TAG' declares YAML tags; only YAML's core tags are allowed",
                "remove the line",
            )
        if line[0].strip() and not line[0].startswith(("#", "%")):
            return
        offset = line.end()


def _convert_json(text: str) -> str:
    """Convert what YAML cannot read: two escapes for a character beyond the BMP, and indentation with tabs.

    Each tab becomes one space, so that positions stay the same.
    """
    text = _QUOTED_OR_TAB.sub(lambda found: " " if found[0] == "\t" else found[0], text)
    return _JSON_ESCAPE.sub(_join_surrogates, text)


def _join_surrogates(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
