"""The queries for a run's charts: those of its probes and those of the services that it touches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.plan import Plan, Step
from scenarios.domain.promql import fill_in
from scenarios.domain.templates import unescape_secrets
from scenarios.domain.units import Unit
from scenarios.models import Run, ServiceQuery
from scenarios.runs.executor import build_run_plan

DRIVER = "prometheus"
MAX_QUESTIONS = 20


@dataclass(frozen=True, slots=True)
class Question:
    """A query for a chart. `query` and `server` contain references instead of secrets, as in a plan.

    `web` has the `auth` and `tls` of the step. `service` is that of a service's query, in which `$service`
    and `$window` are to be filled in.
    """

    title: str
    about: str
    query: str
    unit: Unit = Unit.NUMBER
    server: str = ""
    service: str = ""
    web: Mapping[str, Any] = field(default_factory=dict)

    def with_window(self, seconds: int) -> "Question":
        if not self.service:
            return self
        return replace(self, query=fill_in(self.query, service=self.service, window=seconds))

    @property
    def shown_query(self) -> str:
        return str(unescape_secrets(self.query))


def find_questions(run: Run) -> tuple[list[Question], list[str]]:
    """The queries to send, and the titles of those beyond the limit."""
    asked: list[Question] = []
    # If the document no longer fits, the queries of the services still do.
    with suppress(InvalidDocument, InvalidVariables):
        asked += find_plan_questions(build_run_plan(run))
    asked += read_service_questions(run.services)
    return asked[:MAX_QUESTIONS], [question.title for question in asked[MAX_QUESTIONS:]]


def read_service_questions(names: Sequence[str]) -> Iterator[Question]:
    rows = ServiceQuery.objects.filter(service__name__in=names).select_related("service")
    for row in rows.order_by("service__name", "id"):
        name = row.service.name
        yield Question(row.title, name, row.query, Unit(row.unit), service=name)


def find_plan_questions(plan: Plan) -> list[Question]:
    """Each query of the plan once, named after the first step with it."""
    first: dict[tuple[str, str], Question] = {}
    more: dict[tuple[str, str], int] = {}
    for name, about, step in _steps(plan):
        query, server = step.arguments.get("query"), step.arguments.get("server") or ""
        if step.driver != DRIVER or not isinstance(query, str) or not isinstance(server, str):
            continue
        if mentions_saved(query):
            continue  # what it was is only in the run's events
        key = (server, query)
        more[key] = more.get(key, -1) + 1
        web = {word: step.arguments[word] for word in ("auth", "tls") if word in step.arguments}
        first.setdefault(key, Question(name, about, query, server=server, web=web))
    return [
        replace(question, about=f"{question.about}, and {more[key]} more") if more[key] else question
        for key, question in first.items()
    ]


def _steps(plan: Plan) -> Iterable[tuple[str, str, Step]]:
    for guard in plan.guards:
        yield guard.name, "guard", guard.probe
    for phase in plan.phases:
        for action in phase.actions:
            yield action.name, f"action in {phase.name}", action.do
        for validation in phase.validations:
            yield validation.name, f"validation in {phase.name}", validation.probe
