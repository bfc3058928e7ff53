"""The regular expressions of a document; harmful ones are refused."""

import re
from functools import lru_cache
from typing import Any

import re2

MAX_PATTERN_LENGTH = 500
_PARTS_OF_A_PATTERN = re.compile(r"\\.|.", re.DOTALL)
# Larger programs take a second on the longest text that is searched.
_MAX_PROGRAM_SIZE = 1_000
_TOO_LARGE = "pattern too large"
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
# With this little memory, RE2 quickly gives up on patterns that would take a tenth of a second to compile.
_FRUGAL = re2.Options()
_FRUGAL.log_errors = False
_FRUGAL.max_mem = 64 * 1024


@lru_cache(maxsize=1024)
def compile_pattern(text: str) -> Any:
    """Compile a pattern in RE2's syntax, which has no lookaround and no backreferences.

    RE2 takes time in proportion to the text. With Python's own engine, a pattern could block the process
    that reads or runs the document. https://github.com/google/re2/wiki/Syntax

    Raises:
        ValueError: the text is not a regular expression, or too large a one.
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
        raise ValueError(f"{text!r} is not a regular expression: it is not valid text") from error
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "it cannot be read"
        is_small = _TOO_LARGE not in reason
        if is_small:
            raise ValueError(f"{text!r} is not a regular expression: {reason}") from error
    if not is_small:
        raise ValueError(f"{text!r} is too large for a regular expression: use smaller repetitions")
    return re2.compile(text, _OPTIONS)


@lru_cache(maxsize=1024)
def compile_iregexp(text: str) -> Any:
    """Compile a pattern of JSONPath's match() and search(), with the meaning of RFC 9485 where RE2 differs.

    Anchors and other syntax beyond RFC 9485 are accepted, as in other implementations.

    Raises:
        ValueError: the text is not a regular expression, or too large a one.
    """
    compile_pattern(text)  # so that an error quotes the original text
    return _compile(_replace_dots(text))


def _replace_dots(text: str) -> str:
    """Outside a class, a dot matches every character except line feed and carriage return."""
    parts: list[str] = []
    inside = False
    for found in _PARTS_OF_A_PATTERN.finditer(text):
        part = found[0]
        inside = part == "[" or (inside and part != "]")
        parts.append(r"[^\n\r]" if part == "." and not inside else part)
    return "".join(parts)
