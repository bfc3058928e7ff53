"""Errors as RFC 9457 problem documents: https://www.rfc-editor.org/rfc/rfc9457"""

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as InvalidFields
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, Throttled, ValidationError
from ninja.parser import Parser

from scenarios.access.idempotency import KeyUsedOtherwise
from scenarios.api.field_messages import MAX_NAME_LENGTH_SHOWN, format_path
from scenarios.api.patterns import HINTS
from scenarios.api.problem_codes import ProblemCode, find_code
from scenarios.domain.allow_lists import InvalidEntries
from scenarios.domain.counts import format_count
from scenarios.domain.errors import (
    AddressProtected,
    AddressUnknown,
    AlreadyRegistered,
    BeingDeleted,
    CannotBegin,
    InvalidDocument,
    InvalidSchedule,
    InvalidVariables,
    NotWaiting,
    OwnRequest,
    ScenarioDeleted,
    ServiceHeld,
    UnknownEnvironment,
)
from scenarios.domain.value_messages import phrase_message
from scenarios.library.sync import CannotRemove, NameTaken
from scenarios.suites.storage import SuiteIsRunning

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class ProblemAt(Schema):
    """One error. `path` is a place in the request or the document; lines and columns start at 1."""

    path: str
    message: str
    hint: str = ""
    line: int | None = None
    column: int | None = None


class Problem(Schema):
    """A problem document by RFC 9457. `code` names the cause; `errors` lists each error and its place."""

    type: str = "about:blank"
    code: ProblemCode
    title: str
    status: int
    detail: str
    errors: list[ProblemAt] = []


class NotFoundError(LookupError):
    """The address names something that does not exist."""


class ConflictError(ValueError):
    """The request does not fit the present state; `code` says which rule it breaks."""

    def __init__(self, detail: str, code: ProblemCode) -> None:
        super().__init__(detail)
        self.code = code


class RefusedError(ValueError):
    """The request is invalid; `errors` says where."""

    def __init__(self, detail: str, errors: Sequence[ProblemAt] = ()) -> None:
        super().__init__(detail)
        self.errors = list(errors)


class MalformedJSONError(HttpError):
    code = ProblemCode.MALFORMED_JSON

    def __init__(self, error: json.JSONDecodeError | None) -> None:
        super().__init__(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.")
        self.errors = [
            ProblemAt(path="body", message=error.msg, line=error.lineno, column=error.colno)
            if error
            else ProblemAt(path="body", message="not UTF-8, or nested too deeply")
        ]


class JSONParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        try:
            body: dict[str, Any] = json.loads(request.body)
        except json.JSONDecodeError as error:
            raise MalformedJSONError(error) from error
        except (ValueError, RecursionError) as error:
            raise MalformedJSONError(None) from error
        return body


NO_IDS = {"uuid_parsing", "int_parsing"}


def build_problem(
    status: int,
    code: ProblemCode,
    detail: str,
    errors: Sequence[ProblemAt] = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    phrase = HTTPStatus(status).phrase
    body = Problem(title=phrase, code=code, status=status, detail=detail, errors=list(errors))
    # A name in the request may hold half of a surrogate pair, which JSON can only carry escaped.
    content = json.dumps(body.model_dump(exclude_none=True))
    return HttpResponse(content, status=status, content_type=MEDIA_TYPE, headers=dict(headers or {}))


def refuse_values(code: ProblemCode, detail: str, errors: Sequence[ProblemAt]) -> HttpResponse:
    return build_problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail, errors)


def answer_with(status: HTTPStatus, code: ProblemCode) -> Callable[[Exception], HttpResponse]:
    """A handler of errors whose own sentence says everything."""
    return lambda error: build_problem(status, code, str(error))


def list_problems(error: ValidationError) -> list[ProblemAt]:
    return [
        ProblemAt(
            path=format_path(item["loc"]),
            message=phrase_message(item["type"], item["msg"]),
            hint=HINTS.get(item.get("ctx", {}).get("pattern", ""), ""),
        )
        for item in error.errors
    ]


def describe_invalid_request(error: ValidationError) -> HttpResponse:
    """What cannot be an id is the id of nothing, as any other that nothing has."""
    problems = list_problems(error)
    if any(item["type"] in NO_IDS and item["loc"][0] == "path" for item in error.errors):
        detail = "There is nothing with this id."
        return build_problem(HTTPStatus.NOT_FOUND, ProblemCode.NOT_FOUND, detail, problems)
    return refuse_values(ProblemCode.INVALID_REQUEST, "The request is invalid.", problems)


def describe_invalid_document(error: InvalidDocument) -> HttpResponse:
    errors = [ProblemAt.model_validate(found, from_attributes=True) for found in error.problems]
    detail = f"The document is invalid, with {format_count(len(errors), 'error')}: nothing was stored."
    return refuse_values(ProblemCode.INVALID_DOCUMENT, detail, errors)


def describe_invalid_variables(error: InvalidVariables) -> HttpResponse:
    errors = [
        ProblemAt(path=f"body.variables.{name}"[:MAX_NAME_LENGTH_SHOWN], message=sentence)
        for name, sentence in error.errors.items()
    ]
    return refuse_values(
        ProblemCode.INVALID_VARIABLES, "Some values do not fit the scenario's variables.", errors
    )


def describe_invalid_entries(error: InvalidEntries) -> HttpResponse:
    errors = [ProblemAt(path=f"body.entries.{index}", message=sentence) for index, sentence in error.errors]
    return refuse_values(ProblemCode.INVALID_FIELDS, "Some entries are invalid: nothing was changed.", errors)


# Where a request has the fields whose name differs from the model's.
FIELD_PATHS = {
    "name": "path.name",
    "scenario_name": "body.scenario",
    "suite_name": "body.suite",
    "window": "body.window_from",
}


def describe_invalid_fields(sentences: Mapping[str, str]) -> HttpResponse:
    errors = [
        ProblemAt(path=FIELD_PATHS.get(name, f"body.{name}"), message=sentence)
        for name, sentence in sentences.items()
    ]
    return refuse_values(ProblemCode.INVALID_FIELDS, "Some fields are invalid: nothing was stored.", errors)


def describe_http_error(error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, MalformedJSONError):
        error = error.__cause__  # ninja has wrapped it
    code = getattr(error, "code", find_code(error.status_code))
    errors, headers = getattr(error, "errors", ()), getattr(error, "headers", {})
    return build_problem(error.status_code, code, str(error), errors, headers)


def describe_refused_request(error: SuspiciousOperation) -> HttpResponse:
    if isinstance(error, RequestDataTooBig):
        code = ProblemCode.BODY_TOO_LARGE
        return build_problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, code, "The body is larger than 2.5 MiB.")
    return build_problem(HTTPStatus.BAD_REQUEST, ProblemCode.MALFORMED_REQUEST, "The request is malformed.")


def describe_database_outage(_error: OperationalError) -> HttpResponse:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return build_problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        ProblemCode.DATABASE_UNAVAILABLE,
        "The database is unavailable or busy; try again later.",
        headers=headers,
    )


HANDLERS: dict[type[Exception], Callable[[Any], HttpResponse]] = {
    InvalidDocument: describe_invalid_document,
    InvalidVariables: describe_invalid_variables,
    InvalidEntries: describe_invalid_entries,
    UnknownEnvironment: lambda error: describe_invalid_fields({"environment": str(error)}),
    InvalidSchedule: lambda error: describe_invalid_fields(error.errors),
    InvalidFields: lambda error: describe_invalid_fields(
        {name: " ".join(said) for name, said in error.message_dict.items()}
    ),
    HttpError: describe_http_error,
    Throttled: describe_http_error,
    SuspiciousOperation: describe_refused_request,
    OperationalError: describe_database_outage,
    ValidationError: describe_invalid_request,
    NotFoundError: answer_with(HTTPStatus.NOT_FOUND, ProblemCode.NOT_FOUND),
    RefusedError: lambda error: refuse_values(ProblemCode.INVALID_REQUEST, str(error), error.errors),
    KeyUsedOtherwise: lambda error: refuse_values(
        ProblemCode.IDEMPOTENCY_KEY_REUSED,
        str(error),
        [
            ProblemAt(
                path="header.Idempotency-Key", message="used with another request", hint="make a new key"
            )
        ],
    ),
    ConflictError: lambda error: build_problem(HTTPStatus.CONFLICT, error.code, str(error)),
    AddressProtected: answer_with(HTTPStatus.FORBIDDEN, ProblemCode.ADDRESS_PROTECTED),
    AddressUnknown: lambda error: describe_invalid_fields({"base_url": str(error)}),
    CannotBegin: answer_with(HTTPStatus.CONFLICT, ProblemCode.RUN_WOULD_WAIT),
    BeingDeleted: answer_with(HTTPStatus.CONFLICT, ProblemCode.BEING_DELETED),
    ScenarioDeleted: answer_with(HTTPStatus.NOT_FOUND, ProblemCode.NOT_FOUND),
    CannotRemove: answer_with(HTTPStatus.CONFLICT, ProblemCode.IN_USE),
    SuiteIsRunning: answer_with(HTTPStatus.CONFLICT, ProblemCode.SUITE_RUNNING),
    NameTaken: answer_with(HTTPStatus.CONFLICT, ProblemCode.NAME_TAKEN),
    AlreadyRegistered: answer_with(HTTPStatus.CONFLICT, ProblemCode.NAME_TAKEN),
    ServiceHeld: answer_with(HTTPStatus.CONFLICT, ProblemCode.SERVICE_HELD),
    NotWaiting: answer_with(HTTPStatus.CONFLICT, ProblemCode.NOT_WAITING),
    OwnRequest: answer_with(HTTPStatus.FORBIDDEN, ProblemCode.SECOND_PERSON_NEEDED),
}


def add_problem_handlers(api: NinjaAPI) -> None:
    for kind in HANDLERS:
        api.add_exception_handler(kind, lambda _request, error: describe_error(cast("Exception", error)))


def describe_error(error: Exception) -> HttpResponse:
    kind = next(kind for kind in type(error).__mro__ if kind in HANDLERS)
    return HANDLERS[kind](error)


@csrf_exempt
def refuse_unknown_address(request: HttpRequest, **_named: str) -> HttpResponse:
    """For every method, because the missing CSRF token is not the problem."""
    return build_problem(HTTPStatus.NOT_FOUND, ProblemCode.NO_SUCH_ADDRESS, describe_unknown_address(request))


def describe_unknown_address(request: HttpRequest) -> str:
    path = request.path_info
    is_known = path.endswith("/") and is_known_address(path.rstrip("/"))
    hint = "leave out the slash at its end" if is_known else "/api/v1/docs lists all addresses"
    return f"There is nothing at {request.path[:MAX_NAME_LENGTH_SHOWN]!r}; {hint}."


def is_known_address(path: str) -> bool:
    try:
        return resolve(path).func is not refuse_unknown_address
    except Resolver404:
        return False


class ProblemMiddleware:
    """Turns errors that the API never sees into problems: unknown methods, hosts that are not allowed,
    and server errors.
    """

    PLACE = "/api/"
    KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path_info.startswith(self.PLACE) or response.status_code < HTTPStatus.BAD_REQUEST:
            return response
        if "json" in response.get("Content-Type", ""):
            return response
        kept = {name: response[name] for name in self.KEPT_HEADERS if name in response}
        kept["Cache-Control"] = "no-store"
        status, sentence = response.status_code, self.sentence(request, response)
        return build_problem(status, find_code(status), sentence, headers=kept)

    def sentence(self, request: HttpRequest, response: HttpResponse) -> str:
        status = HTTPStatus(response.status_code)
        if status is HTTPStatus.NOT_FOUND:
            return describe_unknown_address(request)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            return f"Method {request.method!r} is not allowed here; use one of {response.get('Allow', '')}."
        if status is HTTPStatus.INTERNAL_SERVER_ERROR:
            return "The server failed; its log says why."
        return status.description or status.phrase
