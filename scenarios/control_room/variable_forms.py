"""Forms with a field for each variable of a scenario."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from scenarios.language.variables import Variable
from scenarios.models import Environment

# No variable can have this name.
ENVIRONMENT = "environment:"


class VariablesForm(forms.Form):
    """A field for each variable; an empty field means the default."""

    def __init__(self, variables: Mapping[str, Variable], data: Any = None) -> None:
        super().__init__(data)
        for name, variable in variables.items():
            self.fields[name] = build_field(name, variable)

    def read_values(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value != ""}


class RunForm(VariablesForm):
    """Also asks for the environment, if there are any; an empty field may have a value there."""

    def __init__(self, variables: Mapping[str, Variable], data: Any = None) -> None:
        super().__init__(variables, data)
        if names := list(Environment.objects.values_list("name", flat=True)):
            for field in self.fields.values():
                field.required = False
            self.fields[ENVIRONMENT] = build_environment_field(names)
            self.order_fields([ENVIRONMENT])

    def read_values(self) -> dict[str, Any]:
        return {name: value for name, value in super().read_values().items() if name != ENVIRONMENT}

    @property
    def environment(self) -> str:
        return str(self.cleaned_data.get(ENVIRONMENT, ""))

    @property
    def has_environments(self) -> bool:
        return ENVIRONMENT in self.fields

    @property
    def chosen_environment(self) -> str:
        """Also before anything is sent, or if a variable has an error: then ""."""
        return self.environment if self.is_bound and self.is_valid() else ""


def build_environment_field(names: Sequence[str]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label="Environment",
        required=False,
        choices=[("", "none: services as they are registered"), *((name, name) for name in names)],
        help_text="Where the services are. It also has values for variables that you leave empty.",
    )


def end_sentence(text: str) -> str:
    return f"{text}." if text and text[-1] not in ".!?" else text


def build_field(name: str, variable: Variable) -> forms.Field:
    limits = [
        f"{word} {value}"
        for word, value in (("at least", variable.min), ("at most", variable.max))
        if value is not None
    ]
    common: dict[str, Any] = {
        "label": name,
        "required": variable.is_required,
        "initial": ", ".join(map(str, variable.default))
        if isinstance(variable.default, list)
        else variable.default,
        "help_text": " ".join(
            part
            for part in (
                end_sentence(variable.description),
                ", ".join([variable.type.capitalize(), *limits]) + ".",
            )
            if part
        ),
    }
    choices = [True, False] if variable.type == "boolean" else variable.choices
    if choices and variable.type != "list":
        words = [(str(choice).lower() if isinstance(choice, bool) else str(choice)) for choice in choices]
        return forms.ChoiceField(choices=[(word, word) for word in words], **common)
    return forms.CharField(**common, widget=build_widget(variable))


def build_widget(variable: Variable) -> forms.Widget:
    """A widget with the rules that the browser can check; the domain checks all of them."""
    if variable.type in ("integer", "number"):
        limits = {
            "min": variable.min,
            "max": variable.max,
            "step": 1 if variable.type == "integer" else "any",
        }
        return forms.NumberInput(attrs={word: value for word, value in limits.items() if value is not None})
    if variable.type == "duration":
        return forms.TextInput(attrs={"placeholder": "500ms, 2s or 1h30m", "size": 12})
    if variable.type == "list":
        return forms.TextInput(attrs={"placeholder": "a, b"})
    return forms.TextInput(attrs={"pattern": variable.pattern} if variable.pattern else {})
