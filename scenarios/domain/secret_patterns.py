"""Builds a pattern that finds a secret in every form in which a target may write it.

RE2 searches a megabyte in milliseconds, in time proportional to the text, and releases the GIL meanwhile.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from html.entities import codepoint2name
from typing import Any, Final
from urllib.parse import quote

import re2

# Shorter secrets in base64, base32 or hexadecimal cannot be distinguished from other text.
MIN_ENCODED = 4
# A longer secret is searched piece by piece, because each character adds all of its forms to the pattern.
_MAX_PIECE = 120
_SHORT_ESCAPES = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", '"': '"', "'": "'", "/": "/"}
_MAX_WHOLE_PIECES = 2
_ASCII = 0x7F
_BYTE = 0xFF
_SIGN = 0x80
# Any number of backslashes: each level of JSON or of Python's repr() doubles them.
_BACKSLASHES: Final = r"\\+"
# Between two bytes in hexadecimal digits: "68 75", "68:75", "0x68, 0x75", r"\x68\x75".
_BETWEEN_DIGITS: Final = r"[\s:,;-]{0,2}(?:0x|\\*x)?"
_BETWEEN_NUMBERS: Final = r"[\s,;]{1,3}"
# How quoted-printable breaks lines.
_SOFT_BREAK: Final = r"(?:=\r?\n)?"
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 64 * 1024 * 1024


def compile_secret(secret: str) -> Any:
    """Compile a pattern that has the methods of Python's own."""
    parts = list(
        dict.fromkeys(_list_short_forms(secret) if len(secret) <= _MAX_PIECE else _list_long_forms(secret))
    )
    try:
        return re2.compile("|".join(parts), _OPTIONS)
    except (re2.error, UnicodeError):
        # Half of a surrogate pair, or too large a pattern: search at least for the plain secret.
        return re.compile(re.escape(secret))


def _list_short_forms(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < MIN_ENCODED:
        yield _write_each(secret)
        return
    yield _ignore_case(_write_each(secret))
    yield from _list_encodings(data)
    yield from _list_other_encodings(secret)
    if len(secret) > MIN_ENCODED:
        yield _ignore_case(_escape(secret[::-1]))


def _list_long_forms(secret: str) -> Iterator[str]:
    """The first pieces in every form and the rest in the usual ones: too large a pattern is slow."""
    pieces = list(dict.fromkeys(_split(secret)))
    for index, piece in enumerate(pieces):
        data = piece.encode("utf-8", "surrogatepass")
        yield _ignore_case(_write_each(piece) if index < _MAX_WHOLE_PIECES else _escape(piece))
        yield _ignore_case(data.hex())
        yield from map(allow_line_breaks, list_base64_cores(data))


def _split(secret: str) -> list[str]:
    """Split without overlaps: redacting a piece would leave part of an overlapping one."""
    half = _MAX_PIECE // 2
    last = (len(secret) // half - 1) * half
    return [*(secret[start : start + half] for start in range(0, last, half)), secret[last:]]


def _ignore_case(pattern: str) -> str:
    return f"(?i:{pattern})"


def _escape(text: str) -> str:
    return re.escape(text)


def _write_each(secret: str) -> str:
    """The secret with each character in any of its forms, independent of the others."""
    forms = (list(dict.fromkeys(_list_forms(character))) for character in secret)
    return _SOFT_BREAK.join(
        choices[0] if len(choices) == 1 else f"(?:{'|'.join(choices)})" for choices in forms
    )


def _list_forms(character: str) -> Iterator[str]:
    yield _BACKSLASHES if character == "\\" else _escape(character)
    code = ord(character)
    data = character.encode("utf-8", "surrogatepass")
    for form in (_write_percent, _write_hex_escape, _write_octal_escape, _write_quoted_printable):
        yield "".join(map(form, data))
    if _ASCII < code <= _BYTE:
        yield _write_hex_escape(code)
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = (units[index : index + 2].hex() for index in range(0, len(units), 2))
    yield "".join(rf"{_BACKSLASHES}u{pair}" for pair in pairs)
    yield rf"{_BACKSLASHES}(?:U{code:08x}|u\{{0*{code:x}\}})"
    yield rf"&(?:amp;)*#(?:0*{code}|x0*{code:x});"
    if name := "apos" if character == "'" else codepoint2name.get(code):
        yield f"&(?:amp;)*{name};"
    if character in _SHORT_ESCAPES:
        yield _BACKSLASHES + _escape(_SHORT_ESCAPES[character])
    if character == " ":
        yield r"\+"


def _write_percent(byte: int) -> str:
    return f"%(?:25)*{byte:02x}"


def _write_hex_escape(byte: int) -> str:
    return rf"{_BACKSLASHES}x{byte:02x}"


def _write_octal_escape(byte: int) -> str:
    return rf"{_BACKSLASHES}0*{byte:o}"


def _write_quoted_printable(byte: int) -> str:
    return f"={byte:02x}"


def _list_encodings(data: bytes) -> Iterator[str]:
    """The whole secret in hexadecimal, numbers, base32 and base64, and these encoded once more."""
    yield _ignore_case(_BETWEEN_DIGITS.join(f"{byte:02x}" for byte in data))
    yield rf"\b{_BETWEEN_NUMBERS.join(map(_write_number, data))}\b"
    in_base64 = list_base64_cores(data)
    in_base32 = _list_cores(data, base64.b32encode, group=5, bits=5)
    yield from map(allow_line_breaks, in_base64)
    yield from (_ignore_case(core) for core in in_base32)
    urlsafe = [core.translate(str.maketrans("+/", "-_")) for core in in_base64]
    in_url = quote(data, safe="")
    once = dict.fromkeys([*in_base64, *urlsafe, *in_base32, data.hex(), data.hex().upper(), in_url])
    for form in once:
        yield from map(allow_line_breaks, list_base64_cores(form.encode()))
        yield _ignore_case(form.encode().hex())


def _list_other_encodings(secret: str) -> Iterator[str]:
    """In UTF-16, which PowerShell uses for encoded commands, and in base85."""
    for encoding in ("utf-16-le", "utf-16-be"):
        wide = secret.encode(encoding, "surrogatepass")
        yield from map(allow_line_breaks, list_base64_cores(wide))
        yield _ignore_case(_BETWEEN_DIGITS.join(f"{byte:02x}" for byte in wide))
    data = secret.encode("utf-8", "surrogatepass")
    in_base85 = (encode(data).decode() for encode in (base64.b85encode, base64.a85encode))
    yield from (_escape(form) for form in in_base85 if len(form) > MIN_ENCODED)


def _write_number(byte: int) -> str:
    """The byte as a number, also negative as in languages without unsigned bytes."""
    return str(byte) if byte < _SIGN else f"(?:{byte}|{byte - 2 * _SIGN})"


def list_base64_cores(data: bytes) -> list[str]:
    """Base64 of the data after 0, 1 and 2 other bytes, without characters that depend on other bytes."""
    return _list_cores(data, base64.b64encode, group=3, bits=6)


def _list_cores(data: bytes, encode: Callable[[bytes], bytes], *, group: int, bits: int) -> list[str]:
    cores = []
    for before in range(group):
        whole = encode(bytes(before) + data).decode().rstrip("=")
        first = -(-before * 8 // bits)
        end = (before + len(data)) * 8 // bits
        cores.append(whole[first:end])
    return [core for core in dict.fromkeys(cores) if core]


def allow_line_breaks(core: str) -> str:
    """A pattern for base64 in both alphabets, in lines of any length, and inside a URL.

    It includes the character at either end, which shares its bits with a neighbour.
    """
    forms = {"+": r"(?:[-+]|%2[bB])", "/": r"(?:[/_]|\\/|%2[fF])"}
    shared = r"[A-Za-z0-9+/_-]?"
    return shared + r"[\r\n]*".join(forms.get(character, character) for character in core) + shared + "={0,2}"


def join_values(values: Iterable[Any]) -> Iterator[str]:
    """The texts of a list of bytes or characters in which a secret can be found."""
    texts = [str(value) for value in values]
    yield ", ".join(texts)
    yield "".join(texts)
