"""Partial updates by JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396

A member of the patch replaces that of the resource, null resets it to its default, objects are merged member
by member, and lists are replaced as a whole. The result is checked like the body of a PUT.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.errors import ValidationError as InvalidRequest
from pydantic import ValidationError

from scenarios.api.bodies import Body
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import JSONParser, ProblemAt, RefusedError

MEDIA_TYPE = "application/merge-patch+json"
OTHER_PATCHES = ("application/json-patch+json",)
Request = TypeVar("Request", bound=Body)


class PatchUnsupportedError(HttpError):
    code = ProblemCode.PATCH_UNSUPPORTED

    def __init__(self, media_type: str) -> None:
        super().__init__(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{media_type[:80]!r} is not supported; send {MEDIA_TYPE}."
        )
        self.headers = {"Accept-Patch": MEDIA_TYPE}


def describe_patch(name: str) -> dict[str, Any]:
    """The body of an operation whose result must be a request with this name; see `add_patches`."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    words = "The fields to change; null resets a field to its default."
    content = {MEDIA_TYPE: {"schema": schema}}
    return {"requestBody": {"required": True, "description": words, "content": content}}


def patch_request(request: HttpRequest, model: type[Request], current: Mapping[str, Any]) -> Request:
    """What a PUT of the patched resource would send.

    Raises:
        RefusedError: the patch is not an object.
        InvalidRequest: the patched resource breaks the rules of the request.
    """
    if (media_type := request.content_type or "") in OTHER_PATCHES:
        raise PatchUnsupportedError(media_type)
    patch: Any = JSONParser().parse_body(request)
    if not isinstance(patch, dict):
        raise RefusedError(
            "The request is invalid.", [ProblemAt(path="body", message="expected a JSON object")]
        )
    try:
        return model.model_validate(merge(current, patch))
    except ValidationError as error:
        raise InvalidRequest(
            [{**problem, "loc": ("body", "patch", *problem["loc"])} for problem in error.errors()]
        ) from error


def fill_defaults(patched: Request, defaults: Mapping[str, Any]) -> Request:
    """The patched request with a default for each field that is None, which a PUT would keep as it is."""
    fields = {name: value for name, value in patched.model_dump().items() if value is not None}
    return type(patched).model_validate({**defaults, **fields})


def merge(target: Any, patch: Any) -> Any:
    """The algorithm of RFC 7396. JSON has been parsed with a limited depth, so this may recurse."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
