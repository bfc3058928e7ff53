"""What the steps of a run have saved, and the actions and expectations that use it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.expectations import Expectations
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.plan import Action, Proof, Step
from scenarios.domain.redaction import Redactor
from scenarios.domain.saved_values import find_saved, hide_secrets, insert_saved, unescape_saved


@dataclass(slots=True)
class SavedValues:
    """The values that were saved so far, by name; the last one of a name counts."""

    values: dict[str, Any] = field(default_factory=dict)

    def note(self, saved: Mapping[str, Any]) -> None:
        self.values.update(saved)

    def fill_arguments(self, arguments: Mapping[str, Any]) -> Any:
        """The arguments without references to saved values.

        Raises:
            StepImpossible: a value is missing, or cannot be put where it is used.
        """
        if not mentions_saved(arguments):
            return arguments
        filled = insert_saved(arguments, self.values)
        _refuse_missing(filled)
        return unescape_saved(filled)

    def fill_expectations(self, expect: Expectations) -> Expectations:
        """Expectations as `fill_arguments`."""
        if not mentions_saved(expect.fields):
            return expect
        filled = insert_saved(expect.fields, self.values)
        _refuse_missing(filled)
        return Expectations(unescape_saved(filled))


def _refuse_missing(filled: Any) -> None:
    if names := sorted(find_saved(filled)):
        listed = ", ".join(f"'${{saved.{name}}}'" for name in names)
        raise StepImpossible(f"{listed} is unknown: no answer has come that it could be saved from")


def learn_texts(redactor: Redactor, value: Any) -> None:
    """Make each text and number in the value a secret."""
    if isinstance(value, Mapping):
        for inner in value.values():
            learn_texts(redactor, inner)
    elif isinstance(value, list):
        for inner in value:
            learn_texts(redactor, inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        redactor.learn(str(value))


def fill_action(action: Action, saved: Mapping[str, Any]) -> Action:
    """The action with these saved values in its undo and proof; references to other ones stay."""
    if action.undo is None:
        return action
    return replace(action, undo=fill_step(action.undo, saved), undone=fill_proof(action.undone, saved))


def hide_saved_secrets(
    filled: Action, original: Action, secrets: Mapping[str, str], redactor: Redactor
) -> Action:
    """The filled action as it may be stored; see `StepRunner.fill_undo`."""

    def hide(value: Any, before: Any) -> Any:
        if value is before:
            return value
        hidden = hide_secrets(value, secrets)
        return hidden if redactor.redact(hidden) == hidden else before

    def hide_in_step(step: Step, before: Step) -> Step:
        return replace(step, arguments=hide(step.arguments, before.arguments))

    if filled.undo is None or original.undo is None:
        return filled
    undone = filled.undone
    if undone is not None and original.undone is not None:
        # An expectation knows no secrets.
        fields, before = undone.expect.fields, original.undone.expect.fields
        expect = undone.expect if redactor.redact(fields) == fields else Expectations(before)
        undone = replace(undone, probe=hide_in_step(undone.probe, original.undone.probe), expect=expect)
    return replace(filled, undo=hide_in_step(filled.undo, original.undo), undone=undone)


def fill_step(step: Step, saved: Mapping[str, Any]) -> Step:
    """The step with these saved values; references to other ones stay."""
    arguments = insert_saved(step.arguments, saved)
    return step if arguments is step.arguments else replace(step, arguments=arguments)


def fill_proof(proof: Proof | None, saved: Mapping[str, Any]) -> Proof | None:
    if proof is None:
        return None
    fields = insert_saved(proof.expect.fields, saved)
    expect = proof.expect if fields is proof.expect.fields else Expectations(fields)
    return replace(proof, probe=fill_step(proof.probe, saved), expect=expect)
