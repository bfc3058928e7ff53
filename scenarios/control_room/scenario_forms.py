"""The form in which a scenario is written, and the field that becomes an editor."""

import hashlib
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from scenarios.domain.errors import InvalidDocument
from scenarios.drivers import documents
from scenarios.library.versions import Line, compare_lines
from scenarios.models import Scenario

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
    "Somebody else has changed this {kind} since you opened it. Nothing is saved yet: compare below, copy "
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
            kind = self.instance._meta.verbose_name  # noqa: SLF001 - documented
            self.add_error("document", CHANGED_MEANWHILE.format(kind=kind))
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
