"""The OpenAPI document: as ninja generates it, with problems under their own media type."""

from collections.abc import Iterator
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from scenarios.api.idempotency import PARAMETER
from scenarios.api.preconditions import WRITE_PARAMETERS
from scenarios.api.problems import MEDIA_TYPE, Problem

PROBLEM = {"$ref": f"#/components/schemas/{Problem.__name__}"}
# Every operation that authenticates its callers may answer these; one with a body also 400 and 413.
REFUSALS = {401: Problem, 403: Problem, 422: Problem, 429: Problem, 503: Problem}
ITEM_REFUSALS = {**REFUSALS, 404: Problem}
# Answered by gunicorn, before the request gets here.
TOO_LONG = {
    414: {"description": "The address is too long.", "content": {"text/html": {"schema": {"type": "string"}}}}
}
BODY_REFUSALS = {400: Problem, 413: Problem}
IDEMPOTENT = {"parameters": [PARAMETER]}
WRITE_REFUSALS = {412: Problem}
CONDITIONAL = {"parameters": [PARAMETER, *WRITE_PARAMETERS]}


def describe_body(*media_types: str, description: str) -> dict[str, Any]:
    """A body that is a document, not JSON of a declared shape."""
    content = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
    return {"requestBody": {"required": True, "description": description, "content": content}}


class DescribedAPI(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        name: str = operation.view_func.__name__
        return name

    def get_openapi_schema(self, **where: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**where)
        for operation in list_operations(schema):
            # Keys are text, because JSON would write numbers as text anyway and the two would differ.
            operation["responses"] = {
                str(status): describe_response(int(status), answer)
                for status, answer in {**operation["responses"], **TOO_LONG}.items()
            }
        return schema


def list_operations(schema: OpenAPISchema) -> Iterator[dict[str, Any]]:
    for methods in schema["paths"].values():
        yield from methods.values()


def describe_response(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    content = answer.get("content", {}).get("application/json", {})
    if content.get("schema") != PROBLEM:
        return answer
    headers = {
        401: {"WWW-Authenticate": "How to authenticate."},
        429: {"Retry-After": "Seconds."},
        503: {"Retry-After": "Seconds."},
    }.get(status, {})
    return {
        "description": answer["description"],
        "content": {MEDIA_TYPE: {"schema": PROBLEM}},
        **({"headers": {name: describe_header(words) for name, words in headers.items()}} if headers else {}),
    }


def describe_header(words: str) -> dict[str, Any]:
    return {"description": words, "schema": {"type": "string"}}
