"""The plan of a document as a picture, with what would warn, delay or refuse its run."""

from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scenarios.control_room.variable_forms import ENVIRONMENT, RunForm, VariablesForm
from scenarios.domain.errors import InvalidDocument, InvalidVariables, UnknownEnvironment
from scenarios.domain.plan import Plan
from scenarios.language.document import Document, build_plan
from scenarios.library.warnings import find_refusals, find_start_delays, find_warnings
from scenarios.pictures.plan_timeline import plan_timeline
from scenarios.runs.environments import plan_in

ABOUT_REGISTERED = (
    "This is about the services as they are registered. Choose an environment and Dry run to see what a run "
    "would meet there."
)
NEEDS_VARIABLES = "No plan to show: some variables have no default. Open the run form to enter them."


def draw_document(document: Document) -> str:
    """The plan with the variables' defaults, as a picture."""
    try:
        plan: Plan = build_plan(document, {})
    except (InvalidVariables, InvalidDocument):
        return format_html('<p class="empty">{}</p>', NEEDS_VARIABLES)
    return draw_plan(plan)


def draw_plan(plan: Plan) -> SafeString:
    """The picture, below the warnings about the plan."""
    warnings = format_html_join("", "<li>{}</li>", ((sentence,) for sentence in find_warnings(plan)))
    picture = plan_timeline(plan)
    return format_html('<ul class="forewarnings">{}</ul>{}', warnings, picture) if warnings else picture


def find_delays(document: Document, environment: str = "") -> list[str]:
    """What would delay or end a run with the variables' defaults, or keep it from starting."""
    try:
        plan = plan_in(document, {}, environment)
    except (InvalidVariables, InvalidDocument):
        return []
    refused = (
        f"As seen from this host, a run would end as errored: {reason}"
        for reason in find_refusals(plan, environment)
    )
    return [*find_start_delays(plan, environment), *refused]


def find_delays_in_form(document: Document, form: RunForm) -> list[str]:
    """`find_delays` in the chosen environment; until one is chosen, also a sentence that says so."""
    environment = form.chosen_environment
    found = find_delays(document, environment)
    if found and form.has_environments and not environment:
        return [*found, ABOUT_REGISTERED]
    return found


def show_at_fields(form: VariablesForm, error: InvalidVariables) -> None:
    errors = {ENVIRONMENT: str(error)} if isinstance(error, UnknownEnvironment) else error.errors
    for name, sentence in errors.items():
        form.add_error(name if name in form.fields else None, ValidationError(sentence))
