"""The form in which a suite is written."""

from typing import Any

from django.core.exceptions import ValidationError

from scenarios.control_room.scenario_forms import DocumentField, ScenarioForm
from scenarios.domain.errors import InvalidDocument
from scenarios.models import Suite
from scenarios.suites.documents import SuiteDocument, read_suite

# Complete for the demo services, and can be run unchanged.
NEW_SUITE = """\
apiVersion: coordinator/v1
kind: Suite
metadata:
  name: my-suite
  title: What the exchange survives
spec:
  service: exchange
  healthy: {probe: {http: {service: exchange, path: /prices}}, expect: {status: 200, elapsed: {below: 1s}}}
  load: {rate: 5/s, request: {http: {service: exchange, path: /prices}}}
  depends_on:
    - {service: price-feed, kind: http, must: survive}
  recover_within: 10s
  fresh_for: 30d
"""


class SuiteDocumentField(DocumentField):
    template_name = "scenarios/suite_document_field.html"


class SuiteForm(ScenarioForm):
    """As that of a scenario: refuses to save over a change that somebody else made meanwhile."""

    parsed: SuiteDocument  # type: ignore[assignment] # instead of that of a scenario

    class Meta:
        model = Suite
        fields = ["document"]
        widgets = {"document": SuiteDocumentField()}

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "document" in self.fields:
            self.fields["document"].initial = NEW_SUITE

    def clean_document(self) -> str:
        source: str = self.cleaned_data["document"].replace("\r\n", "\n")
        try:
            document = read_suite(source)
        except InvalidDocument as error:
            raise ValidationError([str(problem) for problem in error.problems]) from error
        if self.instance.pk and document.name != self.instance.name:
            raise ValidationError(
                f"metadata.name is {document.name!r}, but this suite is {self.instance.name!r}. "
                "Keep the name or add a new suite."
            )
        if Suite.objects.filter(name=document.name).exclude(pk=self.instance.pk).exists():
            raise ValidationError(f"A suite {document.name!r} already exists. Choose another metadata.name.")
        self.parsed = document
        return source
