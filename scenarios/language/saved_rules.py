"""Where `${saved.NAME}` may stand: in steps, after the answer that it is saved from.

A step's target must be known before the run starts, because it decides what the run holds and who approves
it. An undo must be possible for another process, which knows only what the ledger has.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scenarios.domain.errors import Problem
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import TEMPLATED_PARTS, find_references
from scenarios.language.messages import format_path
from scenarios.language.yaml_nodes import Node, get_child, list_children, walk_tree

Path = tuple[str | int, ...]
# Whether the step that saves it is sensitive, by the name of the value.
Known = dict[str, bool]
_TARGET_WORDS = frozenset({"service", "host", "port", "server", "cluster", "namespace"})
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Place:
    """What a part of an action or validation may use. `kept`: its text goes into the ledger."""

    known: Known
    kept: bool = False


def find_saved_problems(spec: Node) -> Iterator[Problem]:
    if not mentions_saved(spec.plain()):
        return
    for name in TEMPLATED_PARTS:
        part = get_child(spec, name)
        if name != "phases" and part is not None:
            yield from _refuse_everywhere(part, ("spec", name))
    known: Known = {}
    for index, phase in enumerate(list_children(get_child(spec, "phases"))):
        yield from _check_phase(phase, ("spec", "phases", index), known)


def _check_phase(phase: Node, path: Path, known: Known) -> Iterator[Problem]:
    """`known` is what is saved before the phase, and after it with what the phase saves."""
    before, in_turn, later = dict(known), dict(known), known
    for word, part in phase.value.items() if isinstance(phase.value, dict) else ():
        if word not in {"actions", "validations"}:
            yield from _refuse_everywhere(part, (*path, word))
    for index, action in enumerate(list_children(get_child(phase, "actions"))):
        is_timed = get_child(action, "at") is not None
        own = _read_saved(action, "do")
        usable = before if is_timed else dict(in_turn)
        places = {
            "do": _Place(usable),
            "expect": _Place(usable),
            "fault": _Place(usable, kept=True),
            "undo": _Place({**usable, **own}, kept=True),
            "undone": _Place({**usable, **own}, kept=True),
        }
        yield from _check_parts(action, (*path, "actions", index), places)
        later.update(own)
        if not is_timed:
            in_turn.update(own)
    for index, validation in enumerate(list_children(get_child(phase, "validations"))):
        places = {"probe": _Place(in_turn), "expect": _Place(in_turn)}
        yield from _check_parts(validation, (*path, "validations", index), places)
        later.update(_read_saved(validation, "probe"))


def _read_saved(owner: Node, step: str) -> Known:
    save, sensitive = get_child(owner, "save"), get_child(get_child(owner, step), "sensitive")
    is_sensitive = sensitive is not None and sensitive.value is not False
    return dict.fromkeys(save.value, is_sensitive) if save and isinstance(save.value, dict) else {}


def _check_parts(owner: Node, path: Path, places: dict[str, _Place]) -> Iterator[Problem]:
    for word, part in owner.value.items() if isinstance(owner.value, dict) else ():
        if word in places:
            yield from _check_part(part, (*path, word), places[word])
        else:
            yield from _refuse_everywhere(part, (*path, word))


def _find_names(node: Node) -> Iterator[str]:
    if isinstance(node.value, str) and "${saved." in node.value:
        yield from dict.fromkeys(
            reference.name
            for reference in find_references(node.value)
            if reference.is_saved and not reference.broken
        )


def _refuse_everywhere(part: Node, path: Path) -> Iterator[Problem]:
    for inner, node in walk_tree(part):
        for name in _find_names(node):
            message = f"'${{saved.{name}}}' is outside a step of a phase"
            hint = "use saved values only in the steps and under 'expect' of actions and validations"
            yield _build_problem(node, (*path, *inner), message, hint)


def _check_part(part: Node, path: Path, place: _Place) -> Iterator[Problem]:
    for inner, node in walk_tree(part):
        for name in _find_names(node):
            whole = (*path, *inner)
            if name not in place.known:
                yield _build_problem(node, whole, *_explain_unknown(name, place.known))
            elif place.kept and place.known[name]:
                message = (
                    f"'${{saved.{name}}}' comes from a sensitive step, of which the ledger keeps nothing"
                )
                hint = "without it, another process could not undo the fault"
                yield _build_problem(node, whole, message, hint)
            elif _names_target(inner, node.value):
                message = f"'${{saved.{name}}}' would decide where the step goes"
                hint = "write the target itself, or use a variable: it must be known before the run starts"
                yield _build_problem(node, whole, message, hint)


def _explain_unknown(name: str, known: Known) -> tuple[str, str]:
    names = list(known)[:_MAX_LISTED]
    message = f"'${{saved.{name}}}' is not saved by any step before this one"
    if not names:
        return message, "write 'save' at an action or a validation that ends earlier"
    return message, suggest(name, names) or f"saved before it: {', '.join(names)}"


def _names_target(inner: Path, text: str) -> bool:
    """Whether the reference is in a word that says where the step goes; `inner` begins with the driver."""
    if not inner:
        return False
    if inner[-1] in _TARGET_WORDS and len(inner) <= 3:  # noqa: PLR2004 - `undone.probe.http.service` at most
        return True
    if inner[-1] != "url":
        return False
    authority = _AUTHORITY.match(text)
    rest = text[authority.end() :] if authority else ""
    return authority is None or "${saved." in authority[0] or not rest


def _build_problem(node: Node, path: Path, message: str, hint: str) -> Problem:
    return Problem(node.line, node.column, format_path(path), message, hint)
