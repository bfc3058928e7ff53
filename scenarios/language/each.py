"""The word `each`: an action, a validation or a load for each value of a list.

The list is often a variable's, so entries are expanded when a plan is built. The expanded tree has the nodes
of the document, so that what is wrong in an entry is reported at its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scenarios.domain.errors import Problem
from scenarios.domain.matchers import format_value
from scenarios.domain.templates import (
    find_variables,
    format_scalar,
    measure_values,
    substitute,
)
from scenarios.language.each_words import explain_misfit
from scenarios.language.messages import Misfit, format_path
from scenarios.language.step_words import STEP_WORDS
from scenarios.language.yaml_nodes import Node, get_child, list_children
from scenarios.language.yaml_text import MAX_BYTES

_KINDS = ("actions", "validations")
Path = tuple[str | int, ...]
# The value of the `each` of an entry, by the entry's place in `spec`.
Extras = Mapping[Path, Mapping[str, Any]]


def has_each(spec: Node) -> bool:
    return any(
        get_child(entry, "each") is not None for _path, entries in _find_lists(spec) for entry in entries
    )


def find_origins(spec: Node) -> dict[str, set[str]]:
    """The variables in the lists of each name."""
    origins: dict[str, set[str]] = {}
    for _path, entries in _find_lists(spec):
        for entry in entries:
            each = get_child(entry, "each")
            for name, listed in each.value.items() if each and isinstance(each.value, dict) else ():
                origins.setdefault(name, set()).update(find_variables(listed.plain()))
    return origins


def _find_lists(spec: Node) -> Iterator[tuple[Path, list[Node]]]:
    """The lists whose entries may have `each`, with their places in `spec`."""
    yield ("load",), list_children(get_child(spec, "load"))
    for index, phase in enumerate(list_children(get_child(spec, "phases"))):
        for kind in _KINDS:
            yield ("phases", index, kind), list_children(get_child(phase, kind))


@dataclass(slots=True)
class Expansion:
    """`spec` without any `each`, what the entries know besides the variables, and what is wrong."""

    spec: Node
    extras: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    misfits: list[Misfit] = field(default_factory=list)


def expand(spec: Node, values: Mapping[str, Any], max_steps: int) -> Expansion:
    """Expand each entry with `each`, filling in the variables of its list."""
    expander = _Expander(values, max_steps)
    expansion = Expansion(spec)
    lists: dict[Path, list[Node]] = {}
    for path, entries in _find_lists(spec):
        lists[path] = list(expander.expand(path, entries, expansion))
        if expansion.misfits:
            return expansion
    expansion.spec = _rebuild(spec, lists)
    return expansion


class _Expander:
    """Counts what the plan will have, so that nothing huge is built."""

    def __init__(self, values: Mapping[str, Any], max_steps: int) -> None:
        self._values = values
        self._lengths = {name: len(format_scalar(value)) for name, value in values.items()}
        self._steps_left = self._max_steps = max_steps
        self._room = MAX_BYTES

    def expand(self, path: Path, entries: list[Node], expansion: Expansion) -> Iterator[Node]:
        count = 0
        for index, entry in enumerate(entries):
            each = get_child(entry, "each")
            if each is None:
                self._steps_left -= _count_steps(entry)
                count += 1
                yield entry
                continue
            ((name, listed),) = each.value.items()
            chosen = substitute(listed.plain(), self._values)
            reason = explain_misfit(chosen) or self._explain_excess(entry, name, chosen)
            if reason:
                place = format_path(("spec", *path, index, "each", name))
                problem = Problem(listed.line, listed.column, place, reason)
                expansion.misfits.append(Misfit(problem, listed))
                return
            plain = _leave_out_each(entry)
            for value in chosen:
                expansion.extras[(*path, count)] = {name: value}
                count += 1
                yield plain

    def _explain_excess(self, entry: Node, name: str, chosen: list[Any]) -> str:
        self._steps_left -= _count_steps(entry) * len(chosen)
        if self._steps_left < 0:
            return f"with {len(chosen):,} values, the plan would have more than {self._max_steps:,} steps"
        plain = _leave_out_each(entry).plain()
        for value in chosen:
            lengths = {**self._lengths, name: len(format_scalar(value))}
            self._room -= entry.characters + measure_values(plain, lengths)
            if self._room < 0:
                return (
                    f"with {len(chosen):,} values, the plan would be longer than {MAX_BYTES} bytes (256 KiB)"
                )
        return ""


def _count_steps(entry: Node) -> int:
    words = entry.value if isinstance(entry.value, dict) else {}
    return sum(word in STEP_WORDS for word in words) + (
        get_child(get_child(entry, "undone"), "probe") is not None
    )


def _leave_out_each(entry: Node) -> Node:
    return replace(
        entry,
        value={word: part for word, part in entry.value.items() if word != "each"},
        keys={word: key for word, key in entry.keys.items() if word != "each"},
    )


def _rebuild(spec: Node, lists: Mapping[Path, list[Node]]) -> Node:
    """The tree with its lists replaced by these."""
    changed = dict(spec.value)
    if ("load",) in lists and "load" in changed:
        changed["load"] = replace(changed["load"], value=lists["load",])
    phases = [
        replace(
            phase,
            value={
                word: replace(part, value=lists["phases", index, word]) if word in _KINDS else part
                for word, part in phase.value.items()
            },
        )
        for index, phase in enumerate(spec.value["phases"].value)
    ]
    changed["phases"] = replace(spec.value["phases"], value=phases)
    return replace(spec, value=changed)


def find_clashes(filled: Mapping[str, Any], spec: Node) -> list[Misfit]:
    """The names that two entries of a list have, because one of them is an expanded one."""
    found = []
    for path, entries in _find_lists(spec):
        owner: Any = filled
        for part in path:
            owner = owner[part] if not isinstance(owner, Mapping) else owner.get(part, ())
        names = [entry["name"] for entry in owner]
        for index in (index for index, name in enumerate(names) if name in names[:index]):
            name = entries[index].value["name"]
            place = format_path(("spec", *path, index, "name"))
            message = f"duplicate name {format_value(names[index])}: another entry has it"
            found.append(Misfit(Problem(name.line, name.column, place, message), name))
    return found


def name_entry(words: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The filled-in entry as `NAME [value]`, if it is one of several."""
    for value in extra.values():
        words = {**words, "name": f"{words['name']} [{format_scalar(value)}]"}
    return words
