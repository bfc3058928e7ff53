"""Strikes secrets out of whatever is kept or shown, also where they stand encoded or cut off."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from scenarios.domain.secret_patterns import MIN_ENCODED, compile_secret, join_values, list_base64_cores

MASK = "***"
_MIN_PREFIX_LENGTH = 6
# A beginning this long is one wherever it stands; a shorter one where the text was cut.
_CLEAR_BEGINNING = 16
_MIN_LINE_LENGTH = 8
_CUT_MARKS = "…'\""
# Of a list that spells a secret out: '0x68' at most.
_MAX_PART_LENGTH = 4
_SURROGATES = re.compile("[\ud800-\udfff]")


class Redactor:
    """Knows the secrets that it was told of."""

    def __init__(self) -> None:
        self._secrets: dict[str, _Secret] = {}

    def learn(self, secret: str) -> None:
        """From now on, strike this secret out; each longer line of it, too."""
        lines = [line for line in secret.splitlines() if len(line) >= _MIN_LINE_LENGTH]
        misread = [_misread_as_latin_1(one) for one in (secret, *lines) if not one.isascii()]
        new = [one for one in (secret, *lines, *misread) if one and one not in self._secrets]
        if new:
            known = [*self._secrets, *new]
            # The longest first: a shorter one may be a part of it.
            known.sort(key=len, reverse=True)
            self._secrets = {one: self._secrets.get(one) or _get_secret(one) for one in known}

    def redact(self, value: Any) -> Any:
        """The text or JSON value with MASK where secrets stood; the same object where no secret is known."""
        if not self._secrets:
            return value
        if isinstance(value, Mapping):
            return {self._redact(key): self._search(inner) for key, inner in value.items()}
        return self._search(value)

    def _search(self, value: Any) -> Any:
        try:
            return self._redact(value)
        except RecursionError:
            return f"{MASK} (nested too deep to be searched for secrets)"

    def _redact(self, value: Any) -> Any:
        if isinstance(value, str):
            # What has no UTF-8 form cannot be searched, nor be stored.
            value = _SURROGATES.sub("\ufffd", value)
            # Each one whole before any that was only begun: two may begin alike.
            for secret in self._secrets.values():
                value = secret.redact(value)
            for secret in self._secrets.values():
                value = secret.redact_beginnings(value)
            return value
        if isinstance(value, Mapping):
            return {self._redact(key): self._redact(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [MASK] if self._is_spelt_out(value) else [self._redact(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if str(value) in self._secrets else value
        return value

    def _is_spelt_out(self, values: Sequence[Any]) -> bool:
        """Whether a list of bytes or of characters is a secret."""
        if len(values) < MIN_ENCODED or not all(map(_is_byte_or_character, values)):
            return False
        texts = list(join_values(values))
        return any(one.redact(text) != text for one in self._secrets.values() for text in texts)


def _is_byte_or_character(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= _MAX_PART_LENGTH)


def _misread_as_latin_1(secret: str) -> str:
    """As servers take the UTF-8 of a header, and give it back."""
    return secret.encode("utf-8", "surrogatepass").decode("latin-1")


class _Secret:
    def __init__(self, secret: str) -> None:
        self._whole = compile_secret(secret)
        self._beginnings = _list_plain_forms(secret)

    def redact(self, text: str) -> str:
        struck: str = self._whole.sub(MASK, text)
        return struck

    def redact_beginnings(self, text: str) -> str:
        for written in self._beginnings:
            text = _redact_beginning(text, written)
        return text


# Each run learns its secrets anew, and to build a pattern takes some milliseconds.
_get_secret = lru_cache(maxsize=128)(_Secret)


def _list_plain_forms(secret: str) -> list[str]:
    data = secret.encode("utf-8", "surrogatepass")
    written = [
        secret,
        repr(secret)[1:-1],
        quote(data, safe=""),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        data.hex(),
        data.hex().upper(),
        "".join(f"%{byte:02X}" for byte in data),
        secret.upper(),
        *list_base64_cores(data),
    ]
    return [one for one in dict.fromkeys(written) if len(one) > MIN_ENCODED]


def _redact_beginning(text: str, written: str) -> str:
    """The text without the secret's beginning, where an end of the text or of a quotation cut it."""
    least = min(_MIN_PREFIX_LENGTH, len(written) - 1)
    kept: list[str] = []
    begin, position = 0, text.find(written[:least])
    while position >= 0:
        end = position + least
        while end < len(text) and end - position < len(written) and text[end] == written[end - position]:
            end += 1
        if end == len(text) or text[end] in _CUT_MARKS or end - position >= _CLEAR_BEGINNING:
            kept += (text[begin:position], MASK)
            begin = end
        position = text.find(written[:least], end)
    return "".join((*kept, text[begin:])) if kept else text
