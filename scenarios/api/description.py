"""The OpenAPI document: as ninja generates it, then completed for generators of clients."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from scenarios.api.completed_description import DOCUMENT, complete_description, list_operations
from scenarios.api.idempotency import PARAMETER
from scenarios.api.paging import add_next_link
from scenarios.api.preconditions import WRITE_PARAMETERS
from scenarios.api.problems import Problem

__all__ = ["list_operations"]
# Every operation that authenticates its callers may answer these; one with a body also 400, 413 and 415.
REFUSALS = {401: Problem, 403: Problem, 422: Problem, 429: Problem, 503: Problem}
ITEM_REFUSALS = {**REFUSALS, 404: Problem}
BODY_REFUSALS = {400: Problem, 413: Problem, 415: Problem}
IDEMPOTENT = {"parameters": [PARAMETER]}
WRITE_REFUSALS = {412: Problem}
CONDITIONAL = {"parameters": [PARAMETER, *WRITE_PARAMETERS]}


def describe_document(description: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """A body that is a document, not JSON of a declared shape."""
    # Generated clients take the first of these.
    content = {
        "application/json": {"schema": DOCUMENT, "example": example},
        "application/yaml": {"schema": DOCUMENT},
    }
    return {"requestBody": {"required": True, "description": description, "content": content}}


class DescribedAPI(NinjaAPI):
    # The last description, by the root path of its addresses. Building one takes a second of processor time,
    # and anybody may ask for it.
    _described: tuple[str, OpenAPISchema] | None = None

    def get_openapi_operation_id(self, operation: Operation) -> str:
        name: str = operation.view_func.__name__
        return name

    def create_response(self, request: HttpRequest, data: Any, **how: Any) -> HttpResponse:
        response = super().create_response(request, data, **how)
        if isinstance(data, dict) and data.get("next_cursor"):
            add_next_link(request, response, data["next_cursor"])
        return response

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """The completed description, which callers must not change."""
        prefix = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        known = self._described
        if known is None or known[0] != prefix:
            schema = super().get_openapi_schema(path_prefix=prefix)
            complete_description(schema)
            self._described = known = (prefix, schema)
        return known[1]
