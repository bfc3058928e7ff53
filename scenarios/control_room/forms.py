"""Forms of the admin. They show the errors of the domain's validation at their fields."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from scenarios.domain.errors import InvalidDocument
from scenarios.drivers import documents
from scenarios.language.variables import Variable
from scenarios.library.versions import Line, compare_lines
from scenarios.models import Environment, Scenario

# A complete scenario for the demo services, which can be run unchanged.
NEW_DOCUMENT = """\
apiVersion: coordinator/v1
kind: Scenario
metadata:
  name: my-scenario
  title: What this scenario breaks, in a few words
spec:
  phases:
    - name: baseline  # what must hold before anything is broken
      validations:
        - name: the exchange is healthy
          probe: {http: {service: exchange, path: /health}}
          expect: {status: 200}
    - name: chaos  # what is broken, how it is undone, and what must hold meanwhile
      hold: 5s
      actions:
        - name: slow the exchange down
          do: {http: {service: exchange, method: POST, path: /chaos/latency, json: {delay_ms: 500}}}
          undo: {http: {service: exchange, method: DELETE, path: /chaos/latency}}
      validations:
        - name: orders are still accepted
          throughout: true
          probe: {http: {service: exchange, path: /orders, method: POST, json: {side: buy}}}
          expect: {status: {in: [200, 201]}}
    - name: recovery  # what must hold again after the undo
      validations:
        - name: answers are quick again
          within: 10s
          probe: {http: {service: exchange, path: /orders}}
          expect: {status: 200, elapsed: {below: 0.2}}
"""


CHANGED_MEANWHILE = (
    "Somebody else has changed this scenario since you opened it. Nothing is saved yet: compare below, copy "
    "what you want to keep into your document, and save again to replace theirs."
)


def compute_version(document: str) -> str:
    """A digest of the document, or an empty string for a new scenario."""
    return hashlib.sha256(document.encode()).hexdigest()[:32] if document else ""


class DocumentField(forms.Textarea):
    """A textarea that becomes an editor if the browser runs scripts."""

    template_name = "scenarios/document_field.html"

    def __init__(self) -> None:
        super().__init__(attrs={"rows": 40, "spellcheck": "false", "autocapitalize": "off", "wrap": "off"})


class ScenarioForm(forms.ModelForm[Scenario]):
    """Refuses to save over a change that somebody else made while this page was open.

    The refusal shows the difference, and the form then knows the other version: saving again replaces it.
    """

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Scenario
        fields = ["document"]
        widgets = {"document": DocumentField()}

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "document" in self.fields:  # absent for people who may only view
            self.fields["document"].initial = NEW_DOCUMENT
            self.fields["document"].strip = False  # type: ignore[attr-defined] # so that line numbers stay right
            self.fields["document"].widget.attrs["autofocus"] = self.instance.pk is None or self.is_bound
        self.stored = self.instance.document
        self.fields["seen"].initial = compute_version(self.stored)
        self.conflict: list[Line] = []

    def clean(self) -> dict[str, Any]:
        """Compare what is stored with what the page has shown; forms of other programs may not say that."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        seen, present = cleaned.get("seen", ""), compute_version(self.stored)
        if "document" in cleaned and seen not in {"", present} and cleaned["document"] != self.stored:
            self.conflict = list(compare_lines(self.stored, cleaned["document"]))
            self.data = {**self.data.dict(), "seen": present}  # type: ignore[attr-defined] # a QueryDict
            self.add_error("document", CHANGED_MEANWHILE)
        return cleaned

    def clean_document(self) -> str:
        source: str = self.cleaned_data["document"].replace("\r\n", "\n")
        try:
            document = documents.read_document(source)
        except InvalidDocument as error:
            raise ValidationError([str(problem) for problem in error.problems]) from error
        others = Scenario.objects.filter(name=document.name).exclude(pk=self.instance.pk)
        if self.instance.pk and document.name != self.instance.name:
            raise ValidationError(
                f"metadata.name is {document.name!r}, but this scenario is {self.instance.name!r}. "
                "Keep the name or add a new scenario."
            )
        if others.exists():
            raise ValidationError(
                f"A scenario {document.name!r} already exists. Choose another metadata.name."
            )
        self.parsed = document
        return source


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
