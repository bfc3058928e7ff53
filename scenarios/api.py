"""The API, `/api/v1/`. Errors are RFC 9457 problem documents."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, NinjaAPI, Schema, Status
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security import django_auth

from scenarios import readiness, services
from scenarios.domain.document import Document
from scenarios.domain.errors import InvalidDocument
from scenarios.models import Run, Scenario

api = NinjaAPI(title="Test Coordinator", version="1", urls_namespace="api")


class NameDiffersError(ValueError):
    """A document is sent to another scenario's address."""


class NoSuchRunError(LookupError):
    """The address names a run that is not stored."""


class Health(Schema):
    status: Literal["ok"]
    service: str
    instance: str
    version: str
    environment: str
    timestamp: datetime


class Part(Schema):
    ready: bool
    problem: str = ""


class Readiness(Schema):
    ready: bool
    parts: dict[str, Part]


class ProblemAt(Schema):
    line: int
    column: int
    path: str
    message: str
    hint: str = ""


class Problem(Schema):
    """RFC 9457; `errors` tells where in a document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemAt] = []


class Valid(Schema):
    name: str
    title: str


class Stored(Schema):
    name: str
    title: str
    description: str
    tags: list[str]
    document: str


def problem(request: HttpRequest, status: HTTPStatus, detail: str, **more: Any) -> HttpResponse:
    body = Problem(title=status.phrase, status=status, detail=detail, **more)
    response = api.create_response(request, body.model_dump(), status=status)
    response["Content-Type"] = "application/problem+json"
    return response


@api.exception_handler(InvalidDocument)
def invalid_document(request: HttpRequest, error: InvalidDocument) -> HttpResponse:
    errors = [ProblemAt.model_validate(found, from_attributes=True) for found in error.problems]
    detail = f"The document breaks {len(errors)} rules of the language: nothing was stored."
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


@api.exception_handler(NameDiffersError)
def name_differs(request: HttpRequest, error: NameDiffersError) -> HttpResponse:
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


@api.exception_handler(NoSuchRunError)
def no_such_run(request: HttpRequest, error: NoSuchRunError) -> HttpResponse:
    return problem(request, HTTPStatus.NOT_FOUND, str(error))


@api.exception_handler(AuthenticationError)
def not_logged_in(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return problem(request, HTTPStatus.UNAUTHORIZED, "Log in first: a session of the admin is accepted.")


@api.exception_handler(AuthorizationError)
def not_permitted(request: HttpRequest, error: AuthorizationError) -> HttpResponse:
    return problem(request, HTTPStatus.FORBIDDEN, str(error))


@api.get("/health", response=Health, auth=None, url_name="health")
def health(request: HttpRequest) -> dict[str, Any]:
    """The process answers. Asks nothing else: see `ready`."""
    return {
        "status": "ok",
        "service": settings.SERVICE_NAME,
        "instance": settings.SERVICE_INSTANCE_NAME,
        "version": settings.SERVICE_VERSION,
        "environment": settings.ENVIRONMENT,
        "timestamp": timezone.now(),
    }


@api.get("/ready", response={200: Readiness, 503: Readiness}, auth=None, url_name="ready")
def ready(request: HttpRequest) -> Status[dict[str, Any]]:
    """Everything that a run needs works; 503 and the parts that do not where something is wrong."""
    problems = readiness.check_all()
    parts = {name: {"ready": not problem, "problem": problem} for name, problem in problems.items()}
    everything = not any(problems.values())
    status = HTTPStatus.OK if everything else HTTPStatus.SERVICE_UNAVAILABLE
    return Status(status, {"ready": everything, "parts": parts})


class WhyStop(Schema):
    reason: str = Field(min_length=1, max_length=300)


class Stopped(Schema):
    stopped_runs: int


class StopOfRun(Schema):
    """`stopping` is false where the run has ended already, or is being stopped."""

    run: UUID
    stopping: bool


REFUSALS = {401: Problem, 403: Problem, 422: Problem}
OF_A_RUN = {**REFUSALS, 404: Problem}


@api.post(
    "/scenarios/{name}/validate", response={200: Valid, **REFUSALS}, auth=django_auth, url_name="validate"
)
def validate_scenario(request: HttpRequest, name: str) -> dict[str, Any]:
    """Check the document in the body; nothing is stored."""
    permit(request, "scenarios.view_scenario")
    document = read_named(request, name)
    return {"name": document.name, "title": document.title}


@api.put("/scenarios/{name}", response={200: Stored, **REFUSALS}, auth=django_auth, url_name="scenario")
def put_scenario(request: HttpRequest, name: str) -> Scenario:
    """Store the document in the body under its name, or store nothing."""
    permit(request, "scenarios.add_scenario", "scenarios.change_scenario")
    return services.save_scenario(read_named(request, name), by=cast("User", request.user))


@api.post("/stop", response={200: Stopped, **REFUSALS}, auth=django_auth, url_name="stop")
def pull_global_stop(request: HttpRequest, why: WhyStop) -> dict[str, int]:
    """Stop everything: running runs end `aborted` with their faults undone, and none begins."""
    permit(request, "scenarios.pull_globalstop")
    return {"stopped_runs": services.pull_global_stop(by=request.user.get_username(), reason=why.reason)}


@api.post("/runs/{run_id}/stop", response={200: StopOfRun, **OF_A_RUN}, auth=django_auth, url_name="stop_run")
def stop_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """End the run `aborted`; its faults are undone first."""
    permit(request, "scenarios.stop_run")
    run = Run.objects.filter(id=run_id).first()
    if run is None:
        raise NoSuchRunError(f"There is no run {str(run_id)!r}.")
    return {"run": run.id, "stopping": services.request_stop(run, by=request.user.get_username())}


@api.delete("/stop", response={204: None, **REFUSALS}, auth=django_auth, url_name="release")
def release_global_stop(request: HttpRequest) -> Status[None]:
    """Let runs begin again."""
    permit(request, "scenarios.pull_globalstop")
    services.release_global_stop()
    return Status(HTTPStatus.NO_CONTENT, None)


def read_named(request: HttpRequest, name: str) -> Document:
    document = services.read_document(request.body)
    if document.name != name:
        raise NameDiffersError(
            f"The address names {name!r}, the document {document.name!r}: they must be the same."
        )
    return document


def permit(request: HttpRequest, *permissions: str) -> None:
    if not request.user.has_perms(permissions):
        raise AuthorizationError(
            HTTPStatus.FORBIDDEN, f"This needs the permission {' and '.join(permissions)}."
        )
