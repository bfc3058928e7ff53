"""Completes the OpenAPI document that ninja generates, so that generators of clients and linters accept it.

Problems and headers that many operations share become components, which also halves the document.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scenarios.api.examples import EXAMPLES
from scenarios.api.idempotency import PARAMETER
from scenarios.api.preconditions import IF_NONE_MATCH_PARAMETER, WRITE_PARAMETERS
from scenarios.api.problem_codes import MEANINGS, ProblemCode
from scenarios.api.problems import MEDIA_TYPE, Problem

JSON_VALUE = {"$ref": "#/components/schemas/JsonValue"}
PROBLEM = {"$ref": f"#/components/schemas/{Problem.__name__}"}
# The titles of problems. Python's own phrases differ between its versions.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
HEADERS = {
    401: {"WWW-Authenticate": "How to authenticate."},
    429: {"Retry-After": "Seconds."},
    503: {"Retry-After": "Seconds."},
}
NEXT_LINK = 'The address of the next page, with rel="next"; missing on the last page.'
# Answered by gunicorn, before the request gets here.
ADDRESS_TOO_LONG = {
    # Without its content, which is gunicorn's: generated clients would make every response text or an object.
    "description": "The address is too long.",
}
PARAMETERS = {
    "IdempotencyKey": PARAMETER,
    "IfMatch": WRITE_PARAMETERS[0],
    "IfNoneMatch": WRITE_PARAMETERS[1],
    "IfNoneMatchOfReader": IF_NONE_MATCH_PARAMETER,
}
TAGS = {
    "health": "Whether the coordinator works.",
    "access": "Who asks, and with which token.",
    "scenarios": "Documents that say what to break and what must hold meanwhile.",
    "suites": "Scenarios that run together.",
    "runs": "Executions of scenarios, with their events and reports.",
    "faults": "What runs have injected, and whether it is undone.",
    "schedules": "When scenarios run by themselves.",
    "approvals": "What waits for a second person.",
    "services": "What scenarios act on.",
    "environments": "Where services are elsewhere, as in staging.",
    "hosts": "The machines that scenarios inject faults on.",
    "webhooks": "Addresses that get messages about runs.",
    "allow lists": "What steps may do on the coordinator's machine, and where they may connect to.",
    "global stop": "Stops every run, and lets none begin.",
}
# Any object, because the whole language in JSON Schema is too much for generators.
DOCUMENT = {"$ref": "#/components/schemas/Document"}
DOCUMENT_SCHEMA = {
    "title": "Document",
    "description": "A document as JSON: what the text of its YAML file says.",
    "type": "object",
    "additionalProperties": True,
}
# Each is the body of a PATCH, whose result must be such a request.
PATCHES = {
    "ServicePatch": "ServiceRequest",
    "HostPatch": "HostRequest",
    "EnvironmentPatch": "EnvironmentRequest",
    "SchedulePatch": "ScheduleRequest",
    "WebhookPatch": "WebhookRequest",
}
# Lists that grow: a client must accept a word that it does not know.
OPEN_ENUMS = (ProblemCode.__name__,)


def complete_description(schema: dict[str, Any]) -> None:
    schema["info"]["license"] = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
    schema["servers"] = [{"url": "/", "description": "The coordinator that serves this description."}]
    schema["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    components = schema["components"]
    components["schemas"]["Document"] = DOCUMENT_SCHEMA
    for name in OPEN_ENUMS:
        components["schemas"][name]["x-extensible-enum"] = components["schemas"][name].pop("enum")
    for described in components["schemas"].values():
        free_values(described.get("properties", {}))
    components["responses"] = dict(list_shared_responses())
    components["parameters"] = PARAMETERS
    components["headers"] = {"NextLink": describe_header(NEXT_LINK)}
    for operation in list_operations(schema):
        complete_operation(operation)
        describe_next_link(operation)
        for body in list_bodies(operation):
            tell_defaults(components["schemas"].get(name_schema(body), {}))
    for name, request in PATCHES.items():
        components["schemas"][name] = build_patch(name, components["schemas"][request])
    components["schemas"] = select_used(schema)


def free_values(properties: dict[str, Any]) -> None:
    """Any value as `true`, for which every generator has a type; of `JsonValue`, Go makes pointers."""
    for described in properties.values():
        if described.get("additionalProperties") == JSON_VALUE:
            described["additionalProperties"] = True


def list_operations(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in schema["paths"].values():
        yield from methods.values()


def list_shared_responses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each status of a problem, with the codes that it may have."""
    for status in TITLES:
        yield name_response(status), describe_problem(status)
    yield "AddressTooLong", ADDRESS_TOO_LONG


def name_response(status: int) -> str:
    return TITLES[status].replace(" ", "")


def describe_problem(status: int) -> dict[str, Any]:
    codes = {code: words for code, (at, words) in MEANINGS.items() if at == status}
    first, words = next(iter(codes.items()))
    example = {
        "type": "about:blank",
        "code": first,
        "title": TITLES[status],
        "status": status,
        "detail": words,
        "errors": [],
    }
    described = {
        "description": "\n".join(f"- `{code}`: {words}" for code, words in codes.items()),
        "content": {MEDIA_TYPE: {"schema": PROBLEM, "example": example}},
    }
    headers = {name: describe_header(words) for name, words in HEADERS.get(status, {}).items()}
    return {**described, "headers": headers} if headers else described


def describe_header(words: str) -> dict[str, Any]:
    return {"description": words, "schema": {"type": "string"}}


def complete_operation(operation: dict[str, Any]) -> None:
    # Without this, the operation would need no less than all others.
    operation.setdefault("security", [])
    operation["parameters"] = [complete_parameter(parameter) for parameter in operation["parameters"]]
    # Keys are text, because JSON would write numbers as text anyway and the two would differ.
    operation["responses"] = {
        str(status): complete_response(int(status), response)
        for status, response in operation["responses"].items()
    }
    operation["responses"]["414"] = {"$ref": "#/components/responses/AddressTooLong"}
    for body in list_bodies(operation):
        # ninja wraps the schema of a body that has a default, which generators do not know.
        body["schema"] = body["schema"].get("allOf", [body["schema"]])[0]
        add_example(body)


def describe_next_link(operation: dict[str, Any]) -> None:
    """Operations with a cursor answer with a page."""
    if any(parameter.get("name") == "cursor" for parameter in operation["parameters"]):
        operation["responses"]["200"]["headers"] = {"Link": {"$ref": "#/components/headers/NextLink"}}


def list_bodies(operation: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(operation.get("requestBody", {}).get("content", {}).values())


def name_schema(body: Mapping[str, Any]) -> str:
    name: str = body["schema"].get("$ref", "").rpartition("/")[2]
    return name


def tell_defaults(described: Mapping[str, Any]) -> None:
    """Tell the defaults of a request in words: openapi-typescript requires a field that has one."""
    for field in described.get("properties", {}).values():
        if (default := field.pop("default", None)) is not None:
            words = f"Default: {json.dumps(default)}."
            field["description"] = f"{field['description']} {words}" if "description" in field else words


def build_patch(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of the request, none of them required, and null to reset it."""
    fields = {
        field: described if "anyOf" in described else {"anyOf": [described, {"type": "null"}]}
        for field, described in request["properties"].items()
        if field != "only_new"
    }
    return {
        "title": name,
        "description": "Fields that are missing keep their value; null resets a field to its default.",
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
    }


def complete_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    for name, shared in PARAMETERS.items():
        if parameter == shared:
            return {"$ref": f"#/components/parameters/{name}"}
    schema = dict(parameter["schema"])
    # The parameter says so already, and no address can contain a null.
    schema.pop("description", None)
    present = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    return {**parameter, "schema": {**schema, **(present[0] if present else {})}}


def complete_response(status: int, response: dict[str, Any]) -> dict[str, Any]:
    content = response.get("content", {})
    if content.get("application/json", {}).get("schema") == PROBLEM:
        return {"$ref": f"#/components/responses/{name_response(status)}"}
    for body in content.values():
        add_example(body)
    return response


def add_example(body: dict[str, Any]) -> None:
    if (name := name_schema(body)) in EXAMPLES:
        body.setdefault("example", EXAMPLES[name])


def select_used(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that an operation reaches. ninja also lists those of whole queries."""
    schemas = schema["components"]["schemas"]
    others = {name: part for name, part in schema["components"].items() if name != "schemas"}
    used: set[str] = set()
    found = set(find_schemas([schema["paths"], others]))
    while found:
        used |= found
        found = set(find_schemas([schemas[name] for name in found])) - used
    return {name: described for name, described in schemas.items() if name in used}


def find_schemas(part: Any) -> Iterator[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(part, dict):
        reference = part.get("$ref", "")
        if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
            yield reference.rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from find_schemas(inner)
