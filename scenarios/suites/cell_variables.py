"""Which validations of a scenario ask the service, and which of its variables its cells still have."""

from functools import lru_cache
from typing import Any

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.templates import find_variables
from scenarios.language.yaml_tree import read_tree

# The variables that a suite sets itself, from the dependency's words of the same names or its service.
SET_BY_SUITE = ("dependency", "host", "unit", "folder", "port")
_ASKS_SERVICE = "${service}"
Words = dict[str, Any]


def list_asking(phase: Words) -> list[Words]:
    """The validations that ask the service."""
    return [validation for validation in phase.get("validations", ()) if _asks_service(validation)]


def list_others(phase: Words) -> list[Words]:
    return [validation for validation in phase.get("validations", ()) if not _asks_service(validation)]


def _asks_service(validation: Words) -> bool:
    if "load" in validation:
        return True
    arguments = (part for part in validation.get("probe", {}).values() if isinstance(part, dict))
    return any(part.get("service") == _ASKS_SERVICE for part in arguments)


# Drafts are checked as people type, against the same scenarios.
@lru_cache(maxsize=64)
def find_cell_variables(scenario: str) -> frozenset[str]:
    """The variables of a stored scenario that have an effect in a suite; none if it cannot be read.

    The suite replaces what asks the service, and how long the faults are there.
    """
    try:
        spec = read_tree(scenario).plain()["spec"]
    except InvalidDocument:
        return frozenset()
    kept: list[Any] = []
    has_faults = False
    for phase in spec["phases"]:
        acts = bool(phase.get("actions"))
        replaced = {"validations", "hold"} if acts else {"validations"}
        kept += [part for word, part in phase.items() if word not in replaced]
        kept += list_others(phase)
        if has_faults and not acts:
            kept += [validation.get("for") for validation in list_asking(phase)]
        has_faults |= acts
    return frozenset(find_variables(kept)) & frozenset(spec.get("variables", {}))
