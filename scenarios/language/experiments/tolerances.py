"""Translates tolerances into expectations. https://chaostoolkit.org/reference/tutorials/tolerances/"""

from typing import Any

from scenarios.domain.json_queries import compile_query
from scenarios.domain.patterns import compile_pattern
from scenarios.language.experiments.notes import Notes, get_plain
from scenarios.language.yaml_nodes import Node

# The fields of each driver that experiments compare: its code and its text.
_CODE = {"http": "status", "command": "exit_code", "chaostoolkit": "value"}
_TEXT = {"http": "body", "command": "stdout", "chaostoolkit": "value"}
_TARGETS = {"status": "status", "body": "body", "stdout": "stdout", "stderr": "stderr"}
_LIMITS = 2
_JSON_TEXTS = ("body", "stdout")
# All possible numbers; a negative exit code is the signal that ended the command.
_CODES = {"status": range(100, 600), "exit_code": range(-64, 256)}


def translate_tolerance(driver: str, probe: Node, name: str, notes: Notes) -> dict[str, Any] | None:
    """The `expect` of a probe, which only requires a response without a tolerance.

    None if the tolerance cannot be translated: a probe that anything passes would look like a check.
    """
    node = probe.value.get("tolerance")
    if node is None:
        return {_CODE[driver]: {"exists": True}}
    tolerance = get_plain(node)
    if isinstance(tolerance, dict):
        expected = _TYPES.get(str(tolerance.get("type")), _translate_unknown)(driver, tolerance)
    elif isinstance(tolerance, list):
        expected = _translate_list(driver, tolerance)
    elif driver == "chaostoolkit" or (isinstance(tolerance, int) and not isinstance(tolerance, bool)):
        expected = {_CODE[driver]: {"equals": tolerance}}
    elif isinstance(tolerance, str):
        expected = {_TEXT[driver]: {"equals": tolerance}}
    else:
        expected = {}
    if not expected:
        message = f"probe {name!r} is not carried over, because of its tolerance: {tolerance!r:.120}"
        notes.add(node, message, "write a validation with its 'expect'")
        return None
    if isinstance(tolerance, dict) and tolerance.get("type") == "regex" and set(expected) & set(_CODES):
        message = (
            f"the tolerance of {name!r} compares a number as text: it becomes a list of the matching numbers"
        )
        notes.add(node, message)
    return expected


def _translate_list(driver: str, tolerance: list[Any]) -> dict[str, Any]:
    if driver == "chaostoolkit":
        # Chaoslib reads two numbers as a range.
        return {"value": {"between" if _is_range(tolerance) else "in": tolerance}}
    return {_CODE[driver]: {"in": tolerance}} if all(type(value) is int for value in tolerance) else {}


def _translate_unknown(_driver: str, _tolerance: dict[str, Any]) -> dict[str, Any]:
    return {}


def _find_field(driver: str, tolerance: dict[str, Any]) -> str:
    """The field that the tolerance checks; '' if the driver does not have it."""
    target = tolerance.get("target")
    if target is None or driver == "chaostoolkit":
        return _TEXT[driver] if target is None else ""
    field = _TARGETS.get(str(target), "")
    return _CODE[driver] if field == "status" else field


def _translate_regex(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    field, pattern = _find_field(driver, tolerance), str(tolerance.get("pattern", ""))
    if field in _CODES:
        return _match_numbers(field, pattern)
    return {field: {"matches": pattern}} if field else {}


def _match_numbers(field: str, pattern: str) -> dict[str, Any]:
    """Chaoslib searches the number's text; the language compares numbers."""
    try:
        search = compile_pattern(pattern).search
    except ValueError:
        return {}
    found = [number for number in _CODES[field] if search(str(number))]
    if not found:
        return {}
    if found == list(range(found[0], found[-1] + 1)):
        return {field: {"between": [found[0], found[-1]]}}
    return {field: {"in": found}}


def _translate_range(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    field, limits = _find_field(driver, tolerance), tolerance.get("range")
    if not field or field == "stderr" or not _is_range(limits):
        return {}
    matcher = {"between": limits}
    # A body or an output is text; read as JSON, it is a number.
    return {"json": {"$": matcher}} if field in _JSON_TEXTS else {field: matcher}


def _is_range(limits: Any) -> bool:
    are_numbers = isinstance(limits, list) and all(type(limit) in {int, float} for limit in limits)
    return are_numbers and len(limits) == _LIMITS and limits[0] <= limits[1]


def _translate_jsonpath(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    if _find_field(driver, tolerance) not in _JSON_TEXTS:
        return {}
    path = str(tolerance.get("path")).strip()
    try:
        query = compile_query(path)
    except ValueError:
        return {}
    matcher = _match_single(tolerance) if query.is_singular else _match_list(tolerance)
    return {"json": {path: matcher}} if matcher else {}


def _match_single(tolerance: dict[str, Any]) -> dict[str, Any]:
    """Chaoslib compares the list of found values; the language compares the value of a singular path."""
    if "expect" in tolerance:
        wanted = tolerance["expect"]
        found = wanted if isinstance(wanted, list) else [wanted]
        if len(found) == 1:
            return {"equals": found[0]}
        return {} if found else {"exists": False}
    count = tolerance.get("count", 1)
    return {"exists": count == 1} if count in (0, 1) else {}


def _match_list(tolerance: dict[str, Any]) -> dict[str, Any]:
    if "expect" in tolerance:
        wanted = tolerance["expect"]
        return {"equals": wanted if isinstance(wanted, list) else [wanted]}
    if "count" not in tolerance:
        return {"exists": True}
    return {"count": tolerance["count"]} if type(tolerance["count"]) is int else {}


_TYPES = {"regex": _translate_regex, "range": _translate_range, "jsonpath": _translate_jsonpath}
