"""What a run would do and meet, without starting it; and experiments of Chaos Toolkit as scenarios."""

from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import JsonValue

from scenarios.api import example_documents
from scenarios.api.access import needs, permit
from scenarios.api.approvals import PlannedStep
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, REFUSALS, describe_document
from scenarios.api.paging import Text
from scenarios.api.problems import ProblemAt
from scenarios.domain.outputs import make_storable
from scenarios.drivers import documents
from scenarios.language.document import Document
from scenarios.language.experiments.translation import translate
from scenarios.library.dry_run import list_steps
from scenarios.library.preflight import check_preflight
from scenarios.models import Scenario
from scenarios.runs.environments import plan_in

router = Router(tags=["scenarios"])
EXPERIMENT = describe_document("The experiment of Chaos Toolkit.", example_documents.EXPERIMENT)


class PlanRequest(Body):
    document: str = Field(description="The document that would run; it is not stored.")
    variables: dict[str, JsonValue] = {}
    environment: Text | None = Field(None, description="As for a run.")


class PlannedRun(Schema):
    """`refusals` would end a run before it injects anything; nothing listens at the `unreachable` targets."""

    name: str
    steps: list[PlannedStep]
    refusals: list[str]
    unreachable: list[str]
    warnings: list[str]
    targets: list[str] = Field(description="Where faults would be.")


@router.post("/plan", response={200: PlannedRun, **REFUSALS, **BODY_REFUSALS}, url_name="plan")
@needs("scenarios.run_scenario")
def plan_run(request: HttpRequest, body: PlanRequest) -> dict[str, Any]:
    """Show what a run of the document would do, and what it would meet now; nothing is started.

    The coordinator looks whether its targets can be reached. So a document that is not stored needs the
    permissions to store one.
    """
    document = documents.read_document(body.document)
    check_stored(request, document)
    environment = body.environment or ""
    plan = plan_in(document, make_storable(body.variables), environment)
    found = check_preflight(plan, environment)
    return {
        "name": document.name,
        "steps": list(list_steps(plan)),
        "refusals": found.refusals,
        "unreachable": found.unreachable,
        "warnings": found.warnings,
        "targets": found.targets,
    }


def check_stored(request: HttpRequest, document: Document) -> None:
    stored = Scenario.objects.filter(name=document.name).values_list("document", flat=True).first()
    if stored != document.source:
        permit(request, "scenarios.add_scenario", "scenarios.change_scenario")


class Translation(Schema):
    """`left_out` lists what of the experiment has no equivalent, at its place there."""

    document: str
    left_out: list[ProblemAt]


class TranslationName(Schema):
    name: Text | None = Field(None, description="The scenario's name; made from the title if missing.")


@router.post(
    "/experiments/translate",
    response={200: Translation, **REFUSALS, **BODY_REFUSALS},
    url_name="translate",
    openapi_extra=EXPERIMENT,
)
@needs("scenarios.view_scenario")
def translate_experiment(request: HttpRequest, query: Query[TranslationName]) -> dict[str, Any]:
    """Translate an experiment of Chaos Toolkit to a scenario, which is neither validated nor stored."""
    found = translate(request.body, name=query.name or "")
    places = [ProblemAt.model_validate(problem, from_attributes=True) for problem in found.left_out]
    return {"document": found.source, "left_out": places}
