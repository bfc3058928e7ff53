"""Strikes secrets out of whatever is kept or shown, also where they stand encoded or cut off."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from html.entities import codepoint2name
from typing import Any
from urllib.parse import quote

MASK = "***"
# Shorter ones in base64, or only begun, cannot be told from other text.
_LEAST_ENCODED = 4
_LEAST_BEGINNING = 6
# A beginning this long is one wherever it stands; a shorter one where the text was cut.
_CLEAR_BEGINNING = 16
_LEAST_LINE = 8
_CUT_MARKS = "…'\""
_SHORT_ESCAPES = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", '"': '"', "'": "'", "/": "/"}


class Redactor:
    """Knows the secrets that it was told of."""

    def __init__(self) -> None:
        self._secrets: dict[str, _Secret] = {}

    def learn(self, secret: str) -> None:
        """From now on, strike this secret out; each longer line of it, too."""
        lines = [line for line in secret.splitlines() if len(line) >= _LEAST_LINE]
        misread = [_read_as_latin_1(one) for one in (secret, *lines) if not one.isascii()]
        new = [one for one in (secret, *lines, *misread) if one and one not in self._secrets]
        if new:
            known = [*self._secrets, *new]
            # The longest first: a shorter one may be a part of it.
            known.sort(key=len, reverse=True)
            self._secrets = {one: self._secrets.get(one) or _Secret(one) for one in known}

    def redact(self, value: Any) -> Any:
        """The text or JSON value with MASK where secrets stood; the same object where no secret is known."""
        if not self._secrets:
            return value
        if isinstance(value, Mapping):
            return {self._redacted(key): self._searched(inner) for key, inner in value.items()}
        return self._searched(value)

    def _searched(self, value: Any) -> Any:
        try:
            return self._redacted(value)
        except RecursionError:
            return f"{MASK} (nested too deep to be searched for secrets)"

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            # Each one whole before any that was only begun: two may begin alike.
            for secret in self._secrets.values():
                value = secret.struck_from(value)
            for secret in self._secrets.values():
                value = secret.beginnings_struck_from(value)
            return value
        if isinstance(value, Mapping):
            return {self._redacted(key): self._redacted(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if str(value) in self._secrets else value
        return value


def _read_as_latin_1(secret: str) -> str:
    """As servers take the UTF-8 of a header, and give it back."""
    return secret.encode("utf-8", "surrogatepass").decode("latin-1")


class _Secret:
    def __init__(self, secret: str) -> None:
        encodings = [_in_html(secret), _in_url(secret), _escaped(secret), re.escape(secret)]
        encodings += [re.escape(_twice_escaped(secret, ascii_only=only)) for only in (True, False)]
        if len(secret.encode("utf-8", "surrogatepass")) >= _LEAST_ENCODED:
            encodings += map(_in_base64, _base64_cores(secret))
        self._whole = re.compile("|".join(encodings))
        self._beginnings = _written_in_one_piece(secret)

    def struck_from(self, text: str) -> str:
        return self._whole.sub(MASK, text)

    def beginnings_struck_from(self, text: str) -> str:
        for written in self._beginnings:
            text = _without_beginning(text, written)
        return text


def _each(secret: str, forms: Callable[[str], Iterable[str]]) -> str:
    """A pattern of the secret in which each character may stand in any of its forms."""
    alternatives = (list(dict.fromkeys(forms(character))) for character in secret)
    return "".join(one[0] if len(one) == 1 else f"(?:{'|'.join(one)})" for one in alternatives)


def _is_plain(character: str) -> bool:
    """Whether every encoding leaves it as it is."""
    return character.isascii() and character.isalnum()


def _in_url(secret: str) -> str:
    return _each(secret, _url_forms)


def _url_forms(character: str) -> Iterable[str]:
    if not _is_plain(character):
        data = character.encode("utf-8", "surrogatepass")
        yield "".join(f"%{_any_case(f'{byte:02x}')}" for byte in data)
    if character == " ":
        yield r"\+"
    yield re.escape(character)


def _escaped(secret: str) -> str:
    """As in JSON, and as in Python's repr()."""
    return _each(secret, _escaped_forms)


def _escaped_forms(character: str) -> Iterable[str]:
    if character == "\\":
        yield r"\\\\"
        return
    if not _is_plain(character):
        data = character.encode("utf-16-be", "surrogatepass")
        units = (data[index : index + 2].hex() for index in range(0, len(data), 2))
        yield "".join(rf"\\u{_any_case(unit)}" for unit in units)
        yield rf"\\U{_any_case(f'{ord(character):08x}')}"
    if character in _SHORT_ESCAPES:
        yield rf"\\{re.escape(_SHORT_ESCAPES[character])}"
    if ord(character) <= 0xFF and not _is_plain(character):  # noqa: PLR2004 - as far as \xNN reaches
        yield rf"\\x{_any_case(f'{ord(character):02x}')}"
    yield re.escape(character)


def _twice_escaped(secret: str, *, ascii_only: bool) -> str:
    """As in a JSON text inside of JSON."""
    once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    return json.dumps(once, ensure_ascii=ascii_only)[1:-1]


def _in_html(secret: str) -> str:
    return _each(secret, _html_forms)


def _html_forms(character: str) -> Iterable[str]:
    if not _is_plain(character):
        code = ord(character)
        yield f"&#0*{code};"
        yield f"&#[xX]0*{_any_case(f'{code:x}')};"
        if name := "apos" if character == "'" else codepoint2name.get(code):
            yield f"&{name};"
    yield re.escape(character)


def _any_case(digits: str) -> str:
    """A pattern of hexadecimal digits in either case."""
    return "".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else one for one in digits)


def _base64_cores(secret: str) -> list[str]:
    """Base64 of the secret behind 0, 1 and 2 other bytes, without the characters that others share."""
    data = secret.encode("utf-8", "surrogatepass")
    cores = []
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        end = len(whole) if (before + len(data)) % 3 == 0 else len(whole) - 1
        cores.append(whole[shared:end])
    return [core for core in cores if core]


def _in_base64(core: str) -> str:
    """In both alphabets, in lines of any length, and inside a URL; with the character at either end
    that shares its bits with a neighbour.
    """
    forms = {"+": r"(?:[-+]|%2[bB])", "/": r"(?:[/_]|\\/|%2[fF])"}
    shared = r"[A-Za-z0-9+/_-]?"
    return shared + r"[\r\n]*".join(forms.get(one, one) for one in core) + shared + "={0,2}"


def _written_in_one_piece(secret: str) -> list[str]:
    written = [
        secret,
        repr(secret)[1:-1],
        quote(secret.encode("utf-8", "surrogatepass"), safe=""),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        *_base64_cores(secret),
    ]
    return [one for one in dict.fromkeys(written) if len(one) > _LEAST_ENCODED]


def _without_beginning(text: str, written: str) -> str:
    """The text without the secret's beginning, where an end of the text or of a quotation cut it."""
    least = min(_LEAST_BEGINNING, len(written) - 1)
    position = text.find(written[:least])
    while position >= 0:
        end = position + least
        while end < len(text) and end - position < len(written) and text[end] == written[end - position]:
            end += 1
        if end == len(text) or text[end] in _CUT_MARKS or end - position >= _CLEAR_BEGINNING:
            text = text[:position] + MASK + text[end:]
            end = position + len(MASK)
        position = text.find(written[:least], end)
    return text
