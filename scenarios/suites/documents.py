"""Reads suites: every problem is reported at its line and column, as in scenarios."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from scenarios.domain.declarations import MistakeLimit
from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import BUILT_IN_NAMES, FAULT_ID, find_references
from scenarios.drivers.documents import read_document
from scenarios.drivers.platform import fault_arguments, step_arguments
from scenarios.language.document import PATIENCE, TOO_MANY, Document
from scenarios.language.messages import explain_errors, format_path
from scenarios.language.yaml_nodes import Node, walk_tree
from scenarios.language.yaml_tree import MAX_PROBLEMS, read_tree
from scenarios.models import Environment, Host, Scenario, Service
from scenarios.suites.cell_variables import SET_BY_SUITE, find_cell_variables
from scenarios.suites.faults import FAULTS, KINDS, list_scenarios
from scenarios.suites.schema import build_schema, json_schema
from scenarios.suites.words import Models, SuiteSpec, read_elapsed, suite_model

KIND = "Suite"
_MAY_BE_A_SUITE = re.compile(r"kind[\"']?\s*:\s*[\"']?su", re.IGNORECASE)
_STEPS = {("healthy", "probe"), ("load", "request")}
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SuiteDocument:
    """A valid suite. `source` is its original text; `healthy` and `load` are its words as plain JSON."""

    name: str
    title: str
    description: str
    tags: tuple[str, ...]
    spec: SuiteSpec[Any]
    source: str
    healthy: Mapping[str, Any] = field(repr=False)
    load: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What is registered, so that a suite may name it. `variables`: by the name of each stored scenario."""

    services: Collection[str]
    hosts: Collection[str]
    variables: Mapping[str, Collection[str]] = field(default_factory=dict)
    environments: Mapping[str, Collection[str]] = field(default_factory=dict)


def is_suite(source: str | bytes) -> bool:
    """Whether the document says that it is a suite, perhaps misspelt. False if it cannot be read."""
    text = source if isinstance(source, str) else source.decode("utf-8", "replace")
    if not _MAY_BE_A_SUITE.search(text):
        return False
    try:
        plain = read_tree(source).plain()
    except InvalidDocument:
        return False
    kind = plain.get("kind") if isinstance(plain, dict) else None
    return isinstance(kind, str) and (kind == KIND or bool(suggest(kind, [KIND])))


def read_any(source: str | bytes) -> Document | SuiteDocument:
    """Read a scenario or a suite, and check it against what is installed and registered.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    return read_suite(source) if is_suite(source) else read_document(source)


def read_suite(source: str | bytes) -> SuiteDocument:
    """Parse a suite, and check it against the installed drivers and what is registered.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    services, hosts = (list(rows.objects.values_list("name", flat=True)) for rows in (Service, Host))
    stored = Scenario.objects.filter(name__in=list_scenarios()).values_list("name", "document")
    variables = {name: find_cell_variables(document) for name, document in stored}
    environments = dict(Environment.objects.values_list("name", "services"))
    known = KnownNames(services, hosts, variables, environments)
    return parse_suite(source, step_arguments(), fault_arguments(), known=known)


def read_stored_suite(source: str) -> SuiteDocument:
    """Parse a suite that was valid when it was stored; what it names may no longer be registered.

    Raises:
        InvalidDocument: it no longer fits the installed drivers.
    """
    return parse_suite(source, step_arguments(), fault_arguments())


def describe_suites() -> dict[str, Any]:
    """The JSON Schema of the documents that `read_suite` accepts."""
    return json_schema(step_arguments(), fault_arguments())


def parse_suite(
    source: str | bytes, drivers: Models, faults: Models, *, known: KnownNames | None = None
) -> SuiteDocument:
    """Parse a suite and check it; the names of services and hosts only if what is `known` is given.

    Raises:
        InvalidDocument: with every problem in document order.
    """
    tree = read_tree(source)
    plain = tree.plain()
    problems: list[Problem] = []
    valid = None
    try:
        valid = suite_model(drivers, faults).model_validate(plain, context=MistakeLimit(PATIENCE))
    except ValidationError as error:
        errors = error.errors(include_url=False)[:TOO_MANY]
        found = explain_errors(errors, tree, build_schema(drivers, faults), excuse_templates=False)
        problems += [misfit.problem for misfit in found]
    problems += _find_broken_references(tree)
    if known is not None:
        problems += _find_unknown_names(tree, known)
        problems += _find_unknown_variables(tree, known.variables)
    if problems or valid is None:
        unique = {(problem.line, problem.column, problem.message): problem for problem in problems}
        raise InvalidDocument(
            sorted(unique.values(), key=lambda each: (each.line, each.column))[:MAX_PROBLEMS]
        )
    spec = plain["spec"]
    return SuiteDocument(
        name=valid.metadata.name,
        title=valid.metadata.title or valid.metadata.name,
        description=valid.metadata.description,
        tags=tuple(valid.metadata.tags),
        spec=valid.spec,
        source=source if isinstance(source, str) else source.decode("utf-8"),
        healthy=read_elapsed(spec["healthy"]),
        load=spec.get("load"),
    )


def _find_child(node: Node | None, *path: str) -> Node | None:
    for name in path:
        child = node.value.get(name) if node is not None and isinstance(node.value, dict) else None
        node = child if isinstance(child, Node) else None
    return node


def _find_broken_references(tree: Node) -> Iterator[Problem]:
    """Suites have no variables; a load chooses values, and steps have secrets."""
    chosen = _find_child(tree, "spec", "load", "choose")
    names = list(chosen.value) if chosen is not None and isinstance(chosen.value, dict) else []
    for word in ("healthy", "load"):
        part = _find_child(tree, "spec", word)
        known = [name for name in BUILT_IN_NAMES if name != FAULT_ID] + (names if word == "load" else [])
        for path, node in walk_tree(part) if part is not None else ():
            for reference in find_references(node.value) if isinstance(node.value, str) else ():
                message, hint = reference.broken, ""
                if reference.is_secret:
                    if (word, *path[:1]) in _STEPS:
                        continue
                    message = f"'${{secret:{reference.name}}}' is outside a step"
                    hint = "use secrets only in the arguments of 'probe' and 'request'"
                elif not message and reference.name not in known:
                    message = f"'${{{reference.name}}}' is undefined: a suite has no variables"
                    hint = suggest(reference.name, known)
                if message:
                    place = format_path(("spec", word, *path))
                    yield Problem(node.line, node.column, place, message, hint)


def _find_unknown_names(tree: Node, known: KnownNames) -> Iterator[Problem]:
    environment = _find_child(tree, "spec", "environment")
    named = str(environment.value) if environment is not None else ""
    registered_as = {
        "host": sorted(known.hosts),
        "environment": sorted(known.environments),
        "service": sorted(known.environments.get(named, known.services)),
    }
    for path, node in _list_names(tree):
        word = str(path[-1])
        registered = registered_as[word]
        if isinstance(node.value, str) and "${" not in node.value and node.value not in registered:
            rule = f"unknown {word} {node.value[:80]!r}"
            if registered:
                hint = suggest(node.value, registered) or f"choose one of {', '.join(registered[:10])}"
            else:
                hint = f"register it with 'scenario {word} add'"
            yield Problem(node.line, node.column, format_path(path), rule, hint)


def _list_names(tree: Node) -> Iterator[tuple[Path, Node]]:
    """Where the suite names services and hosts."""
    for word in ("environment", "service"):
        if (found := _find_child(tree, "spec", word)) is not None:
            yield ("spec", word), found
    for word, step in sorted(_STEPS):
        place = _find_child(tree, "spec", word, step)
        for driver in place.value if place is not None and isinstance(place.value, dict) else ():
            if (service := _find_child(place, driver, "service")) is not None:
                yield ("spec", word, step, driver, "service"), service
    for index, entry in enumerate(_list_dependencies(tree)):
        for word in ("service", "host"):
            if (named := _find_child(entry, word)) is not None:
                yield ("spec", "depends_on", index, word), named


def _list_dependencies(tree: Node) -> list[Node]:
    dependencies = _find_child(tree, "spec", "depends_on")
    entries = dependencies.value if dependencies is not None else None
    return entries if isinstance(entries, list) else []


def _find_unknown_variables(tree: Node, stored: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Of dependencies whose scenarios are all stored; without one, nobody knows its variables."""
    for index, entry in enumerate(_list_dependencies(tree)):
        variables = _find_child(entry, "variables")
        scenarios = _find_tried_scenarios(entry)
        if variables is None or not scenarios or not all(name in stored for name in scenarios):
            continue
        known = {name for scenario in scenarios for name in stored[scenario]} - set(SET_BY_SUITE)
        for name, key in variables.keys.items():
            if name not in known:
                place = format_path(("spec", "depends_on", index, "variables", name))
                yield Problem(key.line, key.column, place, *_explain_unknown(name, sorted(known)))


def _find_tried_scenarios(entry: Node) -> list[str]:
    """The scenarios of the faults that the dependency is tried with."""
    words = entry.plain()
    kind, named = (words.get("kind"), words.get("faults")) if isinstance(words, dict) else (None, None)
    faults = [fault for fault in FAULTS if not isinstance(named, list) or fault.name in named]
    found = (fault.find_scenario(kind) for fault in faults if kind in KINDS)
    return [scenario for scenario in found if scenario]


def _explain_unknown(name: str, known: list[str]) -> tuple[str, str]:
    if name in SET_BY_SUITE:
        instead = "'service'" if name == "dependency" else repr(name)
        return f"the suite itself sets the variable {name!r}", f"write {instead} of the dependency instead"
    rule = f"unknown variable {name[:80]!r}: no scenario of this dependency's faults uses one of this name"
    choices = f"choose one of {', '.join(known)}" if known else "remove it"
    return rule, suggest(name, known) or choices
