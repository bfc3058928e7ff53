"""Regular expressions and JSONPaths that a document brings along, refused before they can do harm."""

from functools import lru_cache
from typing import Any

import re2
from jsonpath import JSONPath as CompiledPath
from jsonpath import JSONPathEnvironment, JSONPathError

LONGEST_PATTERN = 500
LONGEST_PATH = 200
_PATHS = JSONPathEnvironment(strict=True)
# Larger ones take a second for what is searched at most.
_LARGEST_PROGRAM = 1_000
_TOO_LARGE = "pattern too large"
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
# With so little memory, a pattern that would take a tenth of a second to compile is given up at once.
_FRUGAL = re2.Options()
_FRUGAL.log_errors = False
_FRUGAL.max_mem = 64 * 1024


@lru_cache(maxsize=1024)
def compiled_pattern(text: str) -> Any:
    """A pattern with the methods of Python's own, in RE2's syntax: without looking around or back.

    RE2 takes time in proportion to the text. With Python's own engine, a document could hang whoever
    reads it, or carries it out. https://github.com/google/re2/wiki/Syntax

    Raises:
        ValueError: not a regular expression, or a large one.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(
            f"{text[:40]!r}… is too long for a regular expression: at most {LONGEST_PATTERN} characters"
        )
    try:
        is_small = re2.compile(text, _FRUGAL).programsize <= _LARGEST_PROGRAM
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
def compiled_path(text: str) -> CompiledPath:
    """Raises:
    ValueError: not a JSONPath as of RFC 9535.
    """
    if len(text) > LONGEST_PATH:
        raise ValueError(f"{text[:40]!r}… is too long for a JSONPath: at most {LONGEST_PATH} characters")
    try:
        path = _PATHS.compile(text)
    except (JSONPathError, RecursionError) as error:
        reason = str(error).partition("\n")[0].replace("TOKEN_", "")
        raise ValueError(
            f"{text!r} is not a JSONPath: {reason}; it begins with '$', as in '$.status'"
        ) from error
    if not isinstance(path, CompiledPath):
        raise ValueError(f"{text!r} is not a JSONPath: several paths are joined; write them one by one")  # noqa: TRY004
    return path
