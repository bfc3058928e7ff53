"""Puts the phases of included scenarios into a plan, and finds what a run must keep of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from scenarios.domain.errors import InvalidDocument, InvalidVariables, Problem
from scenarios.domain.plan import LeftOut, Phase, Plan
from scenarios.domain.spelling import suggest
from scenarios.language.messages import format_path
from scenarios.language.yaml_nodes import Node, get_child, list_children

MAX_DEPTH = 3
# In one run, at any depth: otherwise a few documents could include each other thousands of times.
MAX_INCLUDES = 50


@dataclass(slots=True)
class _Counted:
    includes: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class StoredScenarios:
    """Where included scenarios are found: `find` returns the valid document of this name, or None."""

    find: Callable[[str], Any] = lambda _name: None
    list_names: Callable[[], list[str]] = list


NOTHING_STORED = StoredScenarios()


class IncludingDocument(Protocol):
    """What is asked of a document here; `scenarios.language.document.Document` is one."""

    @property
    def stored(self) -> StoredScenarios: ...

    def find_includes(self) -> list[tuple[int, Node]]: ...


@dataclass(frozen=True, slots=True)
class Inclusion:
    """How a scenario came into a plan: the names from the outermost scenario to this one.

    `max_steps` is the limit of the whole plan, and `counted` the number of steps of all inclusions so far.
    """

    chain: tuple[str, ...]
    max_steps: int
    counted: _Counted = field(default_factory=_Counted)

    def enter(self, name: str) -> "Inclusion":
        self.counted.includes += 1
        return Inclusion((*self.chain, name), self.max_steps, self.counted)

    def explain_excess(self, plan: Plan) -> str:
        """Why the plan cannot be added to what is already included; "" if it can."""
        self.counted.steps += sum(1 for _step in plan.steps())
        if self.counted.steps > self.max_steps:
            return f"with what it includes, the plan would have more than {self.max_steps:,} steps"
        return ""

    def explain_refusal(self, name: str) -> str:
        """Why this one cannot include the scenario; "" if it can."""
        path = " → ".join((*self.chain, name))
        if name in self.chain:
            return f"the scenarios include each other in a cycle: {path}"
        if len(self.chain) > MAX_DEPTH:
            return f"{name!r} would be included more than {MAX_DEPTH} deep: {path}"
        if self.counted.includes >= MAX_INCLUDES:
            return f"the run would include more than {MAX_INCLUDES} scenarios"
        return ""


def find_includes(root: Node) -> Iterator[tuple[int, Node]]:
    """The number of each phase that is included, and the node under `include`."""
    for index, phase in enumerate(list_children(get_child(get_child(root, "spec"), "phases"))):
        if (include := get_child(phase, "include")) is not None:
            yield index, include


# Builds the plan of an included document with these values, at this place among the phases.
Build = Callable[[Any, Mapping[str, Any], str, Inclusion], Plan]


def include_phases(
    built: Plan, words: Mapping[str, Any], document: IncludingDocument, inclusion: Inclusion, build: Build
) -> Plan:
    """The plan, with the phases of other scenarios in the place of those that include them.

    `words` is the filled-in `spec` of the document.

    Raises:
        InvalidDocument: a scenario cannot be included; at the place where it is.
    """
    phases: list[Phase] = list(built.phases)
    left_out: list[LeftOut] = []
    for index, node in reversed(document.find_includes()):
        include = words["phases"][index]["include"]
        included = _Included(include["scenario"], node, index)
        inner = included.build(include.get("variables", {}), document.stored, inclusion, build)
        phases[index : index + 1] = [_rename(phase, included.name) for phase in inner.phases]
        left_out[:0] = [
            replace(part, phase=f"{included.name}: {part.phase}", name=_rename_left_out(part, included.name))
            for part in inner.left_out
        ]
    return replace(built, phases=_number(phases), left_out=(*built.left_out, *left_out))


@dataclass(frozen=True, slots=True)
class _Included:
    name: str
    node: Node
    index: int

    def build(
        self, values: Mapping[str, Any], stored: StoredScenarios, inclusion: Inclusion, build: Build
    ) -> Plan:
        if reason := inclusion.explain_refusal(self.name):
            raise self._refuse(reason)
        document = stored.find(self.name)
        if document is None:
            raise self._refuse(f"unknown scenario {self.name!r}", suggest(self.name, stored.list_names()))
        try:
            plan = build(document, values, f"{self.index}:", inclusion.enter(self.name))
        except InvalidDocument as error:
            raise self._refuse(f"{self.name!r} cannot be included: {error.problems[0]}") from error
        except InvalidVariables as error:
            sentence = next(iter(error.errors.values()))
            raise self._refuse(f"{self.name!r} cannot be included: {sentence}") from error
        if any(phase.load_validations for phase in plan.phases):
            raise self._refuse(f"{self.name!r} judges a load, and loads are not included")
        if reason := inclusion.explain_excess(plan):
            raise self._refuse(reason)
        return plan

    def _refuse(self, message: str, hint: str = "") -> InvalidDocument:
        at = get_child(self.node, "scenario") or self.node
        path = format_path(("spec", "phases", self.index, "include", "scenario"))
        return InvalidDocument([Problem(at.line, at.column, path, message, hint)])


def _rename(phase: Phase, scenario: str) -> Phase:
    return replace(phase, name=f"{scenario}: {phase.name}")


def _rename_left_out(part: LeftOut, scenario: str) -> str:
    return f"{scenario}: {part.name}" if part.kind == "phase" else part.name


def _number(phases: list[Phase]) -> tuple[Phase, ...]:
    """The phases with unique names, because a scenario may be included twice."""
    seen: dict[str, int] = {}
    named = []
    for phase in phases:
        seen[phase.name] = seen.get(phase.name, 0) + 1
        number = seen[phase.name]
        named.append(replace(phase, name=f"{phase.name} ({number})") if number > 1 else phase)
    return tuple(named)
