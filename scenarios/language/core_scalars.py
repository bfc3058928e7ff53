"""The scalars of YAML 1.2's core schema, in which `on`, `yes` and `1:30` are text.

https://yaml.org/spec/1.2.2/#103-core-schema
"""

import math
import re

CORE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "map", "seq")}
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAY_BE_A_NUMBER = frozenset("0123456789+-.")
_MAX_NUMBER_LENGTH = 100
_MAX_INTEGER = 2**63 - 1


def parse_scalar(text: str) -> str | int | float | bool | None:
    """Parse an unquoted scalar.

    Raises:
        ValueError: a number that cannot be stored as JSON.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_A_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return _parse_integer(text)
    if _FLOAT.fullmatch(text):
        return _parse_float(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text!r} is not a number in JSON")
    return text


def parse_tagged_scalar(tag: str, text: str) -> str | int | float | bool | None:
    """Raises:
    ValueError: the text does not match its tag.
    """
    kind = tag.rpartition(":")[2]
    if kind == "str":
        return text
    value = parse_scalar(text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in {"map", "seq"} or type(value).__name__.replace("NoneType", "null") != kind:
        raise ValueError(f"{text!r} does not match its tag '!!{kind}'")
    return value


def _parse_integer(text: str) -> int:
    digits = text if len(text) <= _MAX_NUMBER_LENGTH else ""
    base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
    number = int(digits, base) if digits else _MAX_INTEGER + 1
    if abs(number) > _MAX_INTEGER:
        raise ValueError(f"{_truncate(text)!r} is too large: whole numbers have at most 64 bits")
    return number


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{_truncate(text)!r} is too large for a number")
    return number


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_NUMBER_LENGTH else text[:_MAX_NUMBER_LENGTH] + "…"
