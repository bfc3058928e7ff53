"""What an experiment tolerates, as what a scenario expects. https://chaostoolkit.org/reference/tutorials/tolerances/"""

from typing import Any

from scenarios.domain.experiments.notes import Notes, plain
from scenarios.domain.yaml_tree import Node

# Where each driver returns what an experiment compares: its code, and its text.
_CODE = {"http": "status", "command": "exit_code", "chaostoolkit": "value"}
_TEXT = {"http": "body", "command": "stdout", "chaostoolkit": "value"}
_TARGETS = {"status": "status", "body": "body", "stdout": "stdout", "stderr": "stderr"}
_LIMITS = 2


def expectation(driver: str, probe: Node, name: str, notes: Notes) -> dict[str, Any]:
    """The `expect` of a probe; that there is an answer at all, where nothing else can be said."""
    answered = {_CODE[driver]: {"exists": True}}
    node = probe.value.get("tolerance")
    if node is None:
        return answered
    tolerance = plain(node)
    if isinstance(tolerance, dict):
        expected = _TYPES.get(str(tolerance.get("type")), _untranslatable)(driver, tolerance)
    elif isinstance(tolerance, list):
        expected = {_CODE[driver]: {"in": tolerance}}
    elif driver == "chaostoolkit" or (isinstance(tolerance, int) and not isinstance(tolerance, bool)):
        expected = {_CODE[driver]: {"equals": tolerance}}
    elif isinstance(tolerance, str):
        expected = {_TEXT[driver]: {"equals": tolerance}}
    else:
        expected = {}
    if expected:
        return expected
    notes.add(
        node, f"the tolerance of {name!r} is not carried over: {tolerance!r:.120}", "write its 'expect'"
    )
    return answered


def _untranslatable(_driver: str, _tolerance: dict[str, Any]) -> dict[str, Any]:
    return {}


def _field(driver: str, tolerance: dict[str, Any]) -> str:
    """The field that the tolerance looks at; '' where the driver has none such."""
    target = tolerance.get("target")
    if target is None or driver == "chaostoolkit":
        return _TEXT[driver] if target is None else ""
    field = _TARGETS.get(str(target), "")
    return _CODE[driver] if field == "status" else field


def _regex(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    field = _field(driver, tolerance)
    return {field: {"matches": str(tolerance.get("pattern", ""))}} if field else {}


def _range(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    field, limits = _field(driver, tolerance), tolerance.get("range")
    if not field or not isinstance(limits, list) or len(limits) != _LIMITS:
        return {}
    matcher = {"between": limits}
    # A body is text: as JSON, it is the number.
    return {"json": {"$": matcher}} if field == "body" else {field: matcher}


def _jsonpath(driver: str, tolerance: dict[str, Any]) -> dict[str, Any]:
    if driver != "http" or tolerance.get("target", "body") != "body" or "count" in tolerance:
        return {}
    if "expect" not in tolerance:
        return {"json": {str(tolerance.get("path")): {"exists": True}}}
    wanted = tolerance["expect"]
    # Chaos Toolkit compares the list of what was found; here one that was found is compared itself.
    value = wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
    return {"json": {str(tolerance.get("path")): {"equals": value}}}


_TYPES = {"regex": _regex, "range": _range, "jsonpath": _jsonpath}
