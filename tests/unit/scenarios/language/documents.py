"""Shared by tests of documents: types of fixtures, and the shortest scenario."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from scenarios.domain.errors import Problem
from scenarios.domain.plan import Plan
from scenarios.language.document import build_plan, parse_document

Drivers = Mapping[str, type[BaseModel]]
Problems = Callable[[str | bytes], tuple[Problem, ...]]
WithSpec = Callable[[str], str]
WAIT = "phases: [{name: p, actions: [{name: a, do: {wait: {duration: 1s}}}]}]"


def make_plan(spec: str, given: Mapping[str, Any], with_spec: WithSpec, drivers: Drivers) -> Plan:
    return build_plan(parse_document(with_spec(spec), drivers), given)


def phase_with(words: str) -> str:
    return f"phases:\n- name: p\n  {words}"
