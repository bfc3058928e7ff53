"""Redacts secrets in everything that is stored or shown, also if they are encoded or truncated."""

import html
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from scenarios.domain.secret_patterns import MIN_ENCODED, compile_secret, join_values, list_base64_cores

MASK = "***"
MAX_PASSING = 100
_MIN_PREFIX_LENGTH = 6
# A prefix of this length is redacted anywhere; a shorter one only where the text was truncated.
_CLEAR_PREFIX_LENGTH = 16
_MIN_LINE_LENGTH = 8
_CUT_MARKS = "…'\""
# The longest element of a list that spells out a secret, such as '0x68'.
_MAX_PART_LENGTH = 4
_SURROGATES = re.compile("[\ud800-\udfff]")


class Redactor:
    """Replaces the secrets that it has learned with MASK."""

    def __init__(self) -> None:
        self._secrets: dict[str, _Secret] = {}
        self._passing: deque[str] = deque()

    def learn(self, secret: str) -> None:
        """From now on, redact this secret and each of its longer lines."""
        if secret in self._passing:
            self._passing.remove(secret)  # it is to stay
        lines = [line for line in secret.splitlines() if len(line) >= _MIN_LINE_LENGTH]
        misread = [_misread_as_latin_1(text) for text in (secret, *lines) if not text.isascii()]
        new = [text for text in (secret, *lines, *misread) if text and text not in self._secrets]
        if new:
            known = [*self._secrets, *new]
            # The longest first, because a shorter secret may be part of it.
            known.sort(key=len, reverse=True)
            self._secrets = {text: self._secrets.get(text) or _get_secret(text) for text in known}

    def learn_passing(self, secret: str) -> None:
        """As `learn`, of a value that its owner replaces again and again, such as a cookie's.

        Of such values, the last MAX_PASSING are known: searching for thousands would take too long.
        """
        if secret in self._secrets:
            return
        self.learn(secret)
        self._passing.append(secret)
        if len(self._passing) > MAX_PASSING:
            self._secrets.pop(self._passing.popleft(), None)

    def redact(self, value: Any) -> Any:
        """The text or JSON value with MASK instead of secrets; the same object if no secret is known."""
        if not self._secrets:
            return value
        if isinstance(value, Mapping):
            return {self._redact(key): self._search(inner) for key, inner in value.items()}
        return self._search(value)

    def _search(self, value: Any) -> Any:
        try:
            return self._redact(value)
        except RecursionError:
            return f"{MASK} (nested too deeply to search for secrets)"

    def _redact(self, value: Any) -> Any:
        if isinstance(value, str):
            # Surrogates have no UTF-8 form: they cannot be searched or stored.
            value = _SURROGATES.sub("\ufffd", value)
            # Whole secrets before prefixes, because two secrets may share a prefix.
            for secret in self._secrets.values():
                value = secret.redact(value)
            for secret in self._secrets.values():
                value = secret.redact_prefixes(value)
            return value
        if isinstance(value, Mapping):
            return {self._redact(key): self._redact(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [MASK] if self._is_spelt_out(value) else [self._redact(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return MASK if str(value) in self._secrets else value
        return value

    def _is_spelt_out(self, values: Sequence[Any]) -> bool:
        """Whether a list of bytes or characters spells out a secret."""
        if len(values) < MIN_ENCODED or not all(map(_is_byte_or_character, values)):
            return False
        texts = list(join_values(values))
        return any(secret.redact(text) != text for secret in self._secrets.values() for text in texts)


def _is_byte_or_character(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= _MAX_PART_LENGTH)


def _misread_as_latin_1(secret: str) -> str:
    """Decode UTF-8 as Latin-1, as servers do with headers."""
    return secret.encode("utf-8", "surrogatepass").decode("latin-1")


class _Secret:
    def __init__(self, secret: str) -> None:
        self._whole = compile_secret(secret)
        self._prefixes = _list_plain_forms(secret)

    def redact(self, text: str) -> str:
        struck: str = self._whole.sub(MASK, text)
        return struck

    def redact_prefixes(self, text: str) -> str:
        for written in self._prefixes:
            text = _redact_beginning(text, written)
        return text


# Every run learns its secrets again, and building a pattern takes a few milliseconds.
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
    return [form for form in dict.fromkeys(written) if len(form) > MIN_ENCODED]


def _redact_beginning(text: str, written: str) -> str:
    """Redact a prefix of the secret that the end of the text or of a quotation truncated."""
    least = min(_MIN_PREFIX_LENGTH, len(written) - 1)
    kept: list[str] = []
    begin, position = 0, text.find(written[:least])
    while position >= 0:
        end = position + least
        while end < len(text) and end - position < len(written) and text[end] == written[end - position]:
            end += 1
        if end == len(text) or text[end] in _CUT_MARKS or end - position >= _CLEAR_PREFIX_LENGTH:
            kept += (text[begin:position], MASK)
            begin = end
        position = text.find(written[:least], end)
    return "".join((*kept, text[begin:])) if kept else text
