"""Translates an experiment into a scenario, and lists what could not be carried over.

The hypothesis becomes the phases `before` and `after`. The method becomes one phase, or several if actions
follow probes. Rollbacks become undos at the end of the run, in the order of the experiment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.language.experiments.notes import Notes, get_entries, get_fields, get_plain, get_text
from scenarios.language.experiments.steps import (
    Step,
    format_seconds,
    read_retries,
    read_timeout,
    translate_step,
)
from scenarios.language.experiments.tolerances import translate_tolerance
from scenarios.language.experiments.values import Values
from scenarios.language.yaml_nodes import Node
from scenarios.language.yaml_tree import read_tree

_KNOWN = {
    "version",
    "title",
    "description",
    "tags",
    "contributions",
    "configuration",
    "secrets",
    "steady-state-hypothesis",
    "method",
    "rollbacks",
}
_ACTIVITY = {"type", "name", "provider", "tolerance", "pauses", "background", "ref"}


@dataclass(frozen=True, slots=True)
class Translation:
    """`source` is the scenario; `left_out` lists what is missing, with its place in the experiment."""

    source: str
    left_out: tuple[Problem, ...]


class TranslationRefused(InvalidDocument):
    """The translated scenario is refused, for example because the site does not allow one of its commands.

    The lines and columns of `problems` are those of the translation; their paths are more useful.
    """

    def __init__(self, problems: Sequence[Problem], translation: Translation) -> None:
        super().__init__(problems)
        self.translation = translation


def is_experiment(source: str | bytes) -> bool:
    """Whether the document looks like an experiment of Chaos Toolkit; False if it cannot be parsed."""
    try:
        words = get_fields(read_tree(source)).keys()
    except InvalidDocument:
        return False
    return "apiVersion" not in words and bool(words & {"method", "steady-state-hypothesis"})


def translate(source: str | bytes, *, name: str = "") -> Translation:
    """Translate an experiment; without a `name`, the scenario's name is made from the title.

    Raises:
        InvalidDocument: the text is not YAML or JSON, is not a mapping, or breaks the limits of a document.
    """
    experiment = read_tree(source)
    if not isinstance(experiment.value, dict):
        place = (experiment.line, experiment.column, "")
        raise InvalidDocument([Problem(*place, "an experiment must be a mapping", "begin with 'title'")])
    notes = Notes()
    document = _Translator(experiment, notes).document(name)
    written = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    ordered = sorted(notes.problems, key=lambda found: (found.line, found.column))
    return Translation(written, tuple(ordered))


@dataclass
class _Group:
    """A phase being built: actions first, then validations."""

    actions: list[dict[str, Any]] = field(default_factory=list)
    validations: list[dict[str, Any]] = field(default_factory=list)
    paused: float = 0.0

    def as_phase(self, name: str) -> dict[str, Any]:
        return {"name": name} | {
            word: _make_names_unique(own)
            for word, own in (("actions", self.actions), ("validations", self.validations))
            if own
        }


def _make_names_unique(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts: dict[str, int] = {}
    for action in own:
        name = action["name"]
        counts[name] = counts.get(name, 0) + 1
        action["name"] = name if counts[name] == 1 else f"{name[:190]} ({counts[name]})"
    return own


class _Translator:
    def __init__(self, experiment: Node, notes: Notes) -> None:
        self._experiment = experiment
        self._parts: Mapping[str, Node] = get_fields(experiment)
        self._notes = notes
        self._values = Values(experiment, notes)
        self._hypothesis = get_entries(get_fields(self._parts.get("steady-state-hypothesis")).get("probes"))
        self._method = get_entries(self._parts.get("method"))

    def document(self, name: str) -> dict[str, Any]:
        self._notes.add_unknown(self._experiment, _KNOWN, "the experiment")
        spec: dict[str, Any] = {"variables": self._values.variables} if self._values.variables else {}
        spec["phases"] = self._phases() or [{"name": "method"}]
        title = get_text(self._parts.get("title"), "Chaos Toolkit experiment")
        metadata = {
            "name": name or re.sub(r"[^a-z0-9]+", "-", title.lower())[:63].strip("-") or "experiment",
            "title": title,
            "description": str(get_plain(self._parts.get("description")) or "")[:10_000],
            "tags": list(self._tags()),
        }
        return {
            "apiVersion": "coordinator/v1",
            "kind": "Scenario",
            "metadata": {word: value for word, value in metadata.items() if value},
            "spec": spec,
        }

    def _tags(self) -> Iterator[str]:
        tags = (get_text(tag) for tag in get_entries(self._parts.get("tags")))
        yield from (tag for tag in tags if tag)
        for name, level in get_fields(self._parts.get("contributions")).items():
            yield f"{name[:100]}: {get_text(level)[:90]}"

    def _phases(self) -> list[dict[str, Any]]:
        before = _Group(validations=self._steady_state(self._notes))
        # The same probes again: their problems are listed already.
        after = _Group(validations=self._steady_state(Notes()))
        groups = [group for group in self._groups() if group.actions or group.validations]
        self._add_undos(groups)
        phases = [before.as_phase("before")] if before.validations else []
        phases += [
            group.as_phase("method" if index == 1 else f"method {index}")
            for index, group in enumerate(groups, start=1)
        ]
        return phases + ([after.as_phase("after")] if after.validations else [])

    def _steady_state(self, notes: Notes) -> list[dict[str, Any]]:
        found = []
        for probe in self._hypothesis:
            activity = self._resolved(probe, notes)
            if activity is not None and "pauses" in activity.value:
                notes.add(
                    activity.keys["pauses"],
                    f"pauses of {get_text(activity.value.get('name'))!r} are left out",
                )
            if activity is not None and (validation := self._validation(activity, notes)):
                found.append(validation)
        return found

    def _resolved(self, node: Node, notes: Notes) -> Node | None:
        """The activity, or the one that it refers to by name."""
        if not isinstance(node.value, dict):
            notes.add(node, "an activity must be a mapping: this one is not carried over")
            return None
        if "ref" not in node.value:
            notes.add_unknown(node, _ACTIVITY, f"activity {get_text(node.value.get('name'))!r}")
            return node
        wanted = get_plain(node.value["ref"])
        for activity in [*self._hypothesis, *self._method]:
            if "provider" in get_fields(activity) and get_plain(get_fields(activity).get("name")) == wanted:
                return activity
        notes.add(node, f"no activity is named {wanted!r}: the reference to it is not carried over")
        return None

    def _validation(self, activity: Node, notes: Notes) -> dict[str, Any] | None:
        name = get_text(activity.value.get("name"), "probe")
        step = translate_step(activity, name, self._values, notes)
        if step is None:
            return None
        (driver,) = step
        validation: dict[str, Any] = {"name": name, "probe": step}
        if limit := read_timeout(activity):
            validation["timeout"] = self._values.filled(limit)
        read_retries(activity, name, notes, is_action=False)
        expect = translate_tolerance(driver, activity, name, notes)
        return None if expect is None else validation | {"expect": expect}

    def _groups(self) -> Iterator[_Group]:
        """Yield groups that fit into one phase, in which validations begin after the actions."""
        group = _Group()
        for node in self._method:
            activity = self._resolved(node, self._notes)
            if activity is None:
                continue
            pauses = get_fields(activity.value.get("pauses"))
            is_action = get_plain(activity.value.get("type")) == "action"
            if group.validations and (is_action or pauses.get("before")):
                yield group
                group = _Group()
            self._pause(group, activity, pauses.get("before"), "before")
            self._append(group, activity, is_action=is_action)
            if pauses.get("after") and group.validations:
                yield group
                group = _Group()
            self._pause(group, activity, pauses.get("after"), "after")
        yield group

    def _pause(self, group: _Group, activity: Node, pause: Node | None, when: str) -> None:
        if length := get_plain(pause):
            name = f"pause {when} {get_text(activity.value.get('name'))}"[:200]
            duration = self._values.filled(format_seconds(length))
            group.actions.append({"name": name, "do": {"wait": {"duration": duration}}})
            group.paused += length if isinstance(length, int | float) else 0

    def _append(self, group: _Group, activity: Node, *, is_action: bool) -> None:
        if not is_action:
            if validation := self._validation(activity, self._notes):
                group.validations.append(validation)
            return
        name = get_text(activity.value.get("name"), "action")
        if step := translate_step(activity, name, self._values, self._notes):
            action: dict[str, Any] = {"name": name, "do": step}
            if limit := read_timeout(activity):
                action["timeout"] = self._values.filled(limit)
            if times := read_retries(activity, name, self._notes, is_action=True):
                action["retry"] = {"times": times}
            if get_plain(activity.value.get("background")):
                action["at"] = format_seconds(group.paused)
            group.actions.append(action)

    def _add_undos(self, groups: list[_Group]) -> None:
        undos = list(self._undos())
        actions = [action for group in groups for action in group.actions if "wait" not in action["do"]]
        if len(undos) == len(actions) == 1:
            actions[0] |= {"undo": undos[0][1], "until": "run"}
            return
        if undos and not groups:
            groups.append(_Group())
        # The experiment does not say which rollback belongs to which action. So each one becomes the undo of
        # an action that does nothing, at the start. Undos run in reverse, which is the experiment's order.
        for name, step in undos:
            due = {"name": f"rollback: {name}"[:200], "do": {"wait": {"duration": "0s"}}}
            groups[0].actions.insert(0, due | {"undo": step, "until": "run"})

    def _undos(self) -> Iterator[tuple[str, Step]]:
        for node in get_entries(self._parts.get("rollbacks")):
            activity = self._resolved(node, self._notes)
            if activity is None:
                continue
            name = get_text(activity.value.get("name"), "rollback")
            if "pauses" in activity.value:
                self._notes.add(activity.keys["pauses"], f"pauses of the rollback {name!r} are left out")
            if step := translate_step(activity, name, self._values, self._notes):
                yield name, step
