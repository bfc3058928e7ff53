"""Import of many documents at once: all are stored, or none."""

from http import HTTPStatus
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.access import needs, permit
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import locate_name
from scenarios.api.problems import Problem, ProblemAt, RefusedError
from scenarios.domain.errors import InvalidDocument
from scenarios.library.sync import (
    AnyDocument,
    NameTaken,
    Subject,
    find_subject,
    find_taken_names,
    plan_changes,
    sync_scenarios,
)
from scenarios.suites.documents import read_any

router = Router(tags=["scenarios"])


class ImportRequest(Body):
    """`prune` also removes every scenario and suite that is not among the documents; its runs stay.

    With `check`, nothing is stored, each change has the document that is stored now, and the permission to
    view scenarios is enough. Nothing is stored if a name in `only_new` is stored with another document.
    """

    documents: list[str] = Field(min_length=1, description="The whole text of each document.")
    prune: bool = False
    check: bool = False
    only_new: list[str] = Field(default=[], description="Names of scenarios that must not be replaced.")


class ScenarioChange(Schema):
    name: str
    change: Literal["new", "changed", "unchanged", "removed"] = Field(alias="kind")
    subject: Subject
    before: str | None = Field(
        None, description="With `check`: the document that is stored now; empty if there is none."
    )


class ImportResult(Schema):
    stored: bool
    changes: list[ScenarioChange]


@router.post(
    "/import",
    response={HTTPStatus.OK: ImportResult, **REFUSALS, **BODY_REFUSALS, 409: Problem},
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.add_scenario", "scenarios.change_scenario", otherwise="scenarios.view_scenario")
@decorate_view(run_once)
def import_scenarios(request: HttpRequest, body: ImportRequest) -> dict[str, Any]:
    """Store all documents, or none if one is refused."""
    if body.check:
        checked = plan_changes(read_documents(body.documents), prune=body.prune)
        if taken := find_taken_names(checked, body.only_new):
            raise NameTaken(taken)
        return {"stored": False, "changes": checked}
    pruning = ("scenarios.delete_scenario",) if body.prune else ()
    caller = permit(request, "scenarios.add_scenario", "scenarios.change_scenario", *pruning)
    documents = read_documents(body.documents)
    done = sync_scenarios(documents, prune=body.prune, by=caller.user, only_new=body.only_new)
    return {
        "stored": True,
        "changes": [{"name": change.name, "kind": change.kind, "subject": change.subject} for change in done],
    }


def read_documents(sources: list[str]) -> list[AnyDocument]:
    """Read and validate the documents.

    Raises:
        RefusedError: with every problem of every document; also if two have the same name.
    """
    read: dict[tuple[str, str], AnyDocument] = {}
    errors: list[ProblemAt] = []
    for number, source in enumerate(sources):
        place = f"body.documents.{number}"
        try:
            document = read_any(source)
        except InvalidDocument as error:
            errors += [locate_problem(place, problem) for problem in error.problems]
            continue
        if read.setdefault((find_subject(document), document.name), document) is not document:
            message = f"another of these documents has the name {document.name!r}, too"
            errors.append(locate_problem(place, locate_name(document, message, "rename one of them")))
    if errors:
        raise RefusedError("Some documents are invalid: nothing was stored.", errors)
    return list(read.values())


def locate_problem(place: str, problem: Any) -> ProblemAt:
    found = ProblemAt.model_validate(problem, from_attributes=True)
    return found.model_copy(update={"path": f"{place}.{found.path}".rstrip(".")})
