"""Rules across several declarations of a document.

They check the tree before variables are filled in, and work even if other parts of it are not valid.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from scenarios.domain.errors import Problem
from scenarios.domain.expectations import ANY_OF, format_value
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import (
    BUILT_IN_NAMES,
    FAULT_ID,
    TEMPLATED_PARTS,
    collect_references,
    find_references,
    is_secret,
)
from scenarios.language.messages import format_path
from scenarios.language.saved_rules import find_saved_problems
from scenarios.language.step_words import STEP_WORDS
from scenarios.language.words import MAX_STEPS
from scenarios.language.yaml_nodes import Node, get_child, list_children, walk_tree

Path = tuple[str | int, ...]
# Each one takes up to half a millisecond to compile; repeated ones are compiled once.
MAX_PATTERNS = 100
# A document with thousands of variables and thousands of mistakes must be refused quickly.
_MAX_LISTED = 20
# The depths of `spec.guards[0].probe`, `spec.phases[0].actions[0].do` and `….actions[0].undone.probe`.
_STEP_DEPTHS = (4, 6, 7)
_DRIVERS_WITH_OK = frozenset({"command", "http"})
_DRIVERS_WITH_AUTH = frozenset({"grpc", "http", "prometheus"})


def check_step_count(root: Node) -> Problem | None:
    """The problem of the first step over the limit; aliases count with all steps that they stand for."""
    count = 0
    for path, node in walk_tree(root, deepest=_STEP_DEPTHS[-1]):
        if path and path[-1] in STEP_WORDS and isinstance(node.value, dict) and _is_step_path(path):
            count += 1
            if count > MAX_STEPS:
                message = f"the document has more than {MAX_STEPS} steps"
                return Problem(
                    node.line, node.column, format_path(path), message, "split it into several scenarios"
                )
    return None


def check_pattern_count(root: Node) -> Problem | None:
    """The problem of the first regular expression or JSONPath over the limit; repeated ones count once."""
    seen: set[Any] = set()
    for node in _find_patterns(get_child(root, "spec")):
        seen.add(node.value)
        if len(seen) > MAX_PATTERNS:
            message = f"the document has more than {MAX_PATTERNS} different regular expressions and JSONPaths"
            return Problem(node.line, node.column, "", message, "split it into several scenarios")
    return None


def _find_patterns(spec: Node | None) -> Iterator[Node]:
    for variable in list_children(get_child(spec, "variables")):
        yield from _get_texts(get_child(variable, "pattern"))
    phases = list_children(get_child(spec, "phases"))
    kinds = ("actions", "validations")
    checks = [check for phase in phases for kind in kinds for check in list_children(get_child(phase, kind))]
    proofs = [proof for check in checks if (proof := get_child(check, "undone")) is not None]
    for check in (*list_children(get_child(spec, "guards")), *checks, *proofs):
        yield from (source for source in list_children(get_child(check, "save")) if _is_query(source))
        expect = get_child(check, "expect")
        for expected in (expect, *list_children(get_child(expect, ANY_OF))):
            yield from _find_expected_patterns(expected)


def _is_query(source: Node) -> bool:
    return isinstance(source.value, str) and source.value.startswith("$")


def _find_expected_patterns(expect: Node | None) -> Iterator[Node]:
    paths, headers = get_child(expect, "json"), get_child(expect, "headers")
    yield from paths.keys.values() if paths else ()
    for matchers in (*list_children(expect), *list_children(paths), *list_children(headers)):
        yield from _find_matcher_patterns(matchers)


def _find_matcher_patterns(matchers: Node) -> Iterator[Node]:
    yield from _get_texts(get_child(matchers, "matches"))
    for name in ("all", "any", "count"):
        if (inner := get_child(matchers, name)) is not None:
            yield from _find_matcher_patterns(inner)


def _get_texts(node: Node | None) -> Iterator[Node]:
    if node is not None and isinstance(node.value, str):
        yield node


def _is_step_path(path: Path) -> bool:
    """Whether the path leads to a step, not to a key of the same name in a step's arguments."""
    if path[:2] not in {("spec", "phases"), ("spec", "guards"), ("spec", "load")}:
        return False
    return len(path) in _STEP_DEPTHS[:2] or (len(path) == _STEP_DEPTHS[2] and path[5] == "undone")


def _is_inside_step(path: Path) -> bool:
    return any(
        len(path) > depth and path[depth - 1] in STEP_WORDS and _is_step_path(path[:depth])
        for depth in _STEP_DEPTHS
    )


def _is_inside_fault(path: Path) -> bool:
    return (
        len(path) > _STEP_DEPTHS[1]
        and path[:2] == ("spec", "phases")
        and path[3] == "actions"
        and path[5] in {"do", "undo", "undone", "fault"}
    )


def find_semantic_problems(root: Node) -> Iterator[Problem]:
    spec = get_child(root, "spec")
    if spec is None:
        return
    yield from _find_duplicates(get_child(spec, "guards"), "guard", ("spec", "guards"))
    yield from _find_duplicates(get_child(spec, "load"), "load", ("spec", "load"))
    phases = get_child(spec, "phases")
    yield from _find_duplicates(phases, "phase", ("spec", "phases"))
    for index, phase in enumerate(phases.value if phases and isinstance(phases.value, list) else ()):
        path: Path = ("spec", "phases", index)
        yield from _find_duplicates(get_child(phase, "actions"), "action", (*path, "actions"))
        yield from _find_duplicates(get_child(phase, "validations"), "validation", (*path, "validations"))
    yield from _find_probes_with_ok(root)
    yield from _find_broken_references(spec)
    yield from find_saved_problems(spec)
    yield from _find_plain_credentials(root)


def _find_duplicates(entries: Node | None, kind: str, path: Path) -> Iterator[Problem]:
    seen: dict[str, Node] = {}
    for index, entry in enumerate(entries.value if entries and isinstance(entries.value, list) else ()):
        name = get_child(entry, "name")
        if name is None or not isinstance(name.value, str):
            continue
        if name.value in seen:
            hint = f"the first one is in line {seen[name.value].line}"
            message = f"duplicate name {format_value(name.value)}: another {kind} has it"
            yield Problem(name.line, name.column, format_path((*path, index, "name")), message, hint)
        seen.setdefault(name.value, name)


def _find_probes_with_ok(root: Node) -> Iterator[Problem]:
    """`ok` is for actions; probes have `expect`."""
    for path, node in walk_tree(root, deepest=_STEP_DEPTHS[-1]):
        if path and path[-1] == "probe" and _is_step_path(path):
            for driver in sorted(_DRIVERS_WITH_OK):
                arguments = get_child(node, driver)
                if get_child(arguments, "ok") is not None and arguments is not None:
                    key = arguments.keys["ok"]
                    message = (
                        "'ok' is not allowed in a probe: it says which responses mean that an action was done"
                    )
                    hint = "write what the probe must return under 'expect'"
                    yield Problem(key.line, key.column, format_path((*path, driver, "ok")), message, hint)


def _find_plain_credentials(root: Node) -> Iterator[Problem]:
    """A password is never written down: neither in a document nor as a variable, which runs store."""
    for path, node in walk_tree(root, deepest=_STEP_DEPTHS[-1]):
        if not path or path[-1] not in STEP_WORDS or not _is_step_path(path):
            continue
        for driver in sorted(_DRIVERS_WITH_AUTH):
            auth = get_child(get_child(node, driver), "auth")
            for inside in (("bearer",), ("basic", "password")):
                secret = auth
                for word in inside:
                    secret = get_child(secret, word)
                if secret is not None and isinstance(secret.value, str) and not is_secret(secret.value):
                    place = format_path((*path, driver, "auth", *inside))
                    message = f"{inside[-1]!r} must be a reference to a secret, and nothing else"
                    yield Problem(secret.line, secret.column, place, message, "write '${secret:NAME}'")


def _find_broken_references(spec: Node) -> Iterator[Problem]:
    declared = get_child(spec, "variables")
    # If the declarations are not a mapping, every reference would be reported because of that one mistake.
    known = list(declared.value) if declared and isinstance(declared.value, dict) else []
    checkable = declared is None or isinstance(declared.value, dict)
    for name in TEMPLATED_PARTS:
        part = get_child(spec, name)
        for path, node in _list_scopes(name, part) if part is not None else ():
            own: list[str] = []
            for word in ("choose", "each") if len(path) > len(("spec", name)) else ():
                named = get_child(node, word)
                own += named.value if named and isinstance(named.value, dict) else ()
                yield from _find_shadowing(named, (*path, word), known)
            yield from _find_broken_in(node, path, [*known, *own], checkable=checkable)


def _list_scopes(name: str, part: Node) -> Iterator[tuple[Path, Node]]:
    """The parts that know the same names: entries with names of their own, or the whole."""
    path: Path = ("spec", name)
    if name == "load" and isinstance(part.value, list):
        yield from (((*path, index), load) for index, load in enumerate(part.value))
    elif name != "phases" or not any(_has_own_names(phase) for phase in list_children(part)):
        yield path, part
    else:
        for index, phase in enumerate(list_children(part)):
            yield from _list_scopes_of_phase((*path, index), phase)


def _list_scopes_of_phase(path: Path, phase: Node) -> Iterator[tuple[Path, Node]]:
    for word, node in phase.value.items() if isinstance(phase.value, dict) else ():
        if word in {"actions", "validations"} and isinstance(node.value, list):
            yield from (((*path, word, index), entry) for index, entry in enumerate(node.value))
        else:
            # Its keys are checked with the whole of which they are a part.
            yield (*path, word), node


def _has_own_names(phase: Node) -> bool:
    entries = [*list_children(get_child(phase, "actions")), *list_children(get_child(phase, "validations"))]
    return any(get_child(entry, "each") is not None for entry in entries)


def _find_shadowing(named: Node | None, path: Path, known: list[str]) -> Iterator[Problem]:
    for name, key in named.keys.items() if named is not None and isinstance(named.value, dict) else ():
        if name in known:
            message = f"{format_value(name)} is a variable already: choose another name"
            yield Problem(key.line, key.column, format_path((*path, name)), message)


def _find_broken_in(part: Node, at: Path, known: list[str], *, checkable: bool) -> Iterator[Problem]:
    doubtful = _find_doubtful(part, known, checkable=checkable)
    for path, node in walk_tree(part) if doubtful else ():
        whole: Path = (*at, *path)
        if isinstance(node.value, str):
            if doubtful in node.value:
                yield from _check_text(node, whole, known, checkable=checkable)
        elif isinstance(node.value, dict):
            yield from _check_keys(node.keys, whole)


def _find_doubtful(part: Node, known: list[str], *, checkable: bool) -> str:
    """The text that every doubtful value contains; "" if there is none.

    Checks all references together first, because thousands take long one by one.
    """
    found, in_keys = collect_references(part.plain())
    names = set(known)
    names |= set(BUILT_IN_NAMES) - {FAULT_ID}
    unsound = any(
        reference.broken
        or (
            not reference.is_late
            and reference.name not in names
            and (checkable or reference.name == FAULT_ID)
        )
        for reference in found
    )
    if unsound or in_keys:
        return "${"
    return "${secret:" if any(reference.is_secret for reference in found) else ""


def _check_text(node: Node, path: Path, known: list[str], *, checkable: bool) -> Iterator[Problem]:
    found = list(find_references(node.value))
    for reference in found if len(found) == 1 else dict.fromkeys(found):
        if reference.broken:
            hint = suggest(reference.name, BUILT_IN_NAMES)
            yield Problem(node.line, node.column, format_path(path), reference.broken, hint)
        elif reference.is_saved:
            continue  # see saved_rules.py
        elif reference.name == FAULT_ID:
            if not _is_inside_fault(path):
                message = f"'${{{FAULT_ID}}}' is outside a fault"
                hint = "use it only in 'do', 'undo', 'undone' and 'fault' of an action"
                yield Problem(node.line, node.column, format_path(path), message, hint)
        elif reference.is_secret:
            if not _is_inside_step(path):
                message = f"'${{secret:{reference.name}}}' is outside a step"
                hint = "use secrets only in the arguments of 'probe', 'do' and 'undo'"
                yield Problem(node.line, node.column, format_path(path), message, hint)
        elif checkable and reference.name not in (*known, *BUILT_IN_NAMES):
            declares = ", ".join(known[:_MAX_LISTED]) or "none"
            where = "'spec.variables' and 'choose' have" if path[1] == "load" else "'spec.variables' declares"
            message = f"'${{{reference.name}}}' is undefined: {where} {declares}"
            hint = suggest(reference.name, [*known[:_MAX_LISTED], *BUILT_IN_NAMES])
            yield Problem(node.line, node.column, format_path(path), message, hint)


def _check_keys(keys: Mapping[str, Node], path: Path) -> Iterator[Problem]:
    for name, key in keys.items():
        if next(find_references(name), None):
            message = f"{format_value(name)} is a key with a variable; variables are filled in only in values"
            hint = "'$${' writes a literal '${'"
            yield Problem(key.line, key.column, format_path((*path, name)), message, hint)
