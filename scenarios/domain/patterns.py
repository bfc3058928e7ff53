"""Regular expressions and JSONPaths that a document brings along, refused before they can do harm."""

import re
from functools import lru_cache

from jsonpath import JSONPath as CompiledPath
from jsonpath import JSONPathEnvironment, JSONPathError

LONGEST_PATTERN = 500
_PATHS = JSONPathEnvironment(strict=True)
_UNBOUNDED = re.compile(r"[*+]|\{[0-9]*,\}")
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


@lru_cache(maxsize=1024)
def compiled_pattern(text: str) -> re.Pattern[str]:
    """Raises:
    ValueError: not a regular expression, or one that may take for ever.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(
            f"{text[:40]!r}… is too long for a regular expression: at most {LONGEST_PATTERN} characters"
        )
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    if _repeats_a_repetition(text):
        raise ValueError(
            f"{text!r} repeats a group that repeats something itself: matching may take for ever; "
            f"repeat a character class instead, as in '[a-z]+'"
        )
    return pattern


def _repeats_a_repetition(text: str) -> bool:
    """Whether it is of the kind `(a+)+`, whose time doubles with each character."""
    groups = [False]
    position = 0
    while atom := _ATOM.match(text, position):
        position = atom.end()
        if atom[0] == "(":
            groups.append(False)
            continue
        closed = atom[0] == ")" and len(groups) > 1
        inner = groups.pop() if closed else False
        if repeated := _UNBOUNDED.match(text, position):
            if inner:
                return True
            position = repeated.end()
        groups[-1] = groups[-1] or inner or repeated is not None
    return False


@lru_cache(maxsize=1024)
def compiled_path(text: str) -> CompiledPath:
    """Raises:
    ValueError: not a JSONPath as of RFC 9535.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"{text[:40]!r}… is too long for a JSONPath: at most {LONGEST_PATTERN} characters")
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
