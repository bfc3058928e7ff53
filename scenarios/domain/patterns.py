"""Regular expressions that a document brings along, refused before they can do harm."""

import re
from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN_LENGTH = 500
_PARTS_OF_A_PATTERN = re.compile(r"\\.|.", re.DOTALL)
# Larger ones take a second for what is searched at most.
_MAX_PROGRAM_SIZE = 1_000
_TOO_LARGE = "pattern too large"
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
# With so little memory, a pattern that would take a tenth of a second to compile is given up at once.
_FRUGAL = re2.Options()
_FRUGAL.log_errors = False
_FRUGAL.max_mem = 64 * 1024


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Any:
    """A pattern with the methods of Python's own, in RE2's syntax: without looking around or back.

    RE2 takes time in proportion to the text. With Python's own engine, a document could hang whoever
    reads it, or carries it out. https://github.com/google/re2/wiki/Syntax

    Raises:
        ValueError: not a regular expression, or a large one.
    """
    if len(text) > MAX_PATTERN_LENGTH:
        raise ValueError(
            f"{text[:40]!r}… is too long for a regular expression: at most {MAX_PATTERN_LENGTH} characters"
        )
    return _compile(text)


def _compile(text: str) -> Any:
    try:
        is_small = re2.compile(text, _FRUGAL).programsize <= _MAX_PROGRAM_SIZE
    except UnicodeError as error:
        raise ValueError(f"{text!r} is not a regular expression: it is no text") from error
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "it cannot be read"
        is_small = _TOO_LARGE not in reason
        if is_small:
            raise ValueError(f"{text!r} is not a regular expression: {reason}") from error
    if not is_small:
        raise ValueError(f"{text!r} repeats too much for a regular expression: count to less")
    return re2.compile(text, _OPTIONS)


@lru_cache(maxsize=1024)
def compile_iregexp(text: str) -> Any:
    """A pattern of JSONPath's match() and search(), with the meaning of RFC 9485 where RE2's differs.

    More than RFC 9485 knows is taken, as anchors: the other implementations take it as well.

    Raises:
        ValueError: not a regular expression, or a large one.
    """
    compile_pattern(text)  # so that an error quotes what was written
    return _compile(_with_dots_of_rfc_9485(text))


def _with_dots_of_rfc_9485(text: str) -> str:
    """A dot outside of a class is every character but line feed and carriage return."""
    parts: list[str] = []
    inside = False
    for found in _PARTS_OF_A_PATTERN.finditer(text):
        part = found[0]
        inside = part == "[" or (inside and part != "]")
        parts.append(r"[^\n\r]" if part == "." and not inside else part)
    return "".join(parts)
