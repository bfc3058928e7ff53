"""The cause of each error as a name that programs can rely on; the sentences may change."""

from enum import StrEnum


class ProblemCode(StrEnum):
    """What went wrong. A name never changes its meaning; new ones may be added."""

    MALFORMED_REQUEST = "malformed_request"
    MALFORMED_JSON = "malformed_json"
    NOT_AUTHENTICATED = "not_authenticated"
    CSRF_FAILED = "csrf_failed"
    PERMISSION_MISSING = "permission_missing"
    SECOND_PERSON_NEEDED = "second_person_needed"
    ADDRESS_PROTECTED = "address_protected"
    NO_SUCH_ADDRESS = "no_such_address"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NAME_TAKEN = "name_taken"
    SERVICE_HELD = "service_held"
    RUN_WOULD_WAIT = "run_would_wait"
    FAULT_NOT_OUTSTANDING = "fault_not_outstanding"
    NOT_WAITING = "not_waiting"
    IN_USE = "in_use"
    BEING_DELETED = "being_deleted"
    SUITE_RUNNING = "suite_running"
    DISABLED = "disabled"
    SCHEDULE_INVALID = "schedule_invalid"
    CHANGED_MEANWHILE = "changed_meanwhile"
    BODY_TOO_LARGE = "body_too_large"
    ENCODING_UNSUPPORTED = "encoding_unsupported"
    PATCH_UNSUPPORTED = "patch_unsupported"
    INVALID_REQUEST = "invalid_request"
    INVALID_FIELDS = "invalid_fields"
    INVALID_DOCUMENT = "invalid_document"
    INVALID_VARIABLES = "invalid_variables"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    TOO_MANY_REQUESTS = "too_many_requests"
    SERVER_ERROR = "server_error"
    DATABASE_UNAVAILABLE = "database_unavailable"
    HTTP_ERROR = "http_error"


# In the order of the statuses, as the documentation lists them.
MEANINGS = {
    ProblemCode.MALFORMED_REQUEST: (400, "The request breaks the rules of HTTP."),
    ProblemCode.MALFORMED_JSON: (400, "The body is not valid JSON."),
    ProblemCode.NOT_AUTHENTICATED: (401, "The request has no valid token and no session."),
    ProblemCode.CSRF_FAILED: (403, "A write in a session has no valid CSRF token."),
    ProblemCode.PERMISSION_MISSING: (403, "The caller lacks a permission, or the token a scope."),
    ProblemCode.SECOND_PERSON_NEEDED: (403, "Somebody else must approve."),
    ProblemCode.ADDRESS_PROTECTED: (403, "The address belongs to a protected service or host."),
    ProblemCode.NO_SUCH_ADDRESS: (404, "The API has nothing at this address."),
    ProblemCode.NOT_FOUND: (404, "What the address names does not exist."),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "The method is not allowed at this address."),
    ProblemCode.NAME_TAKEN: (409, "Something with this name exists."),
    ProblemCode.SERVICE_HELD: (409, "An unfinished run holds the service or host."),
    ProblemCode.RUN_WOULD_WAIT: (409, "The run would have to wait, and the caller does not want it to."),
    ProblemCode.FAULT_NOT_OUTSTANDING: (409, "Only an outstanding fault can be retried or acknowledged."),
    ProblemCode.NOT_WAITING: (409, "Nothing waits for this approval any more."),
    ProblemCode.IN_USE: (409, "A scenario with unfinished runs or faults cannot be deleted."),
    ProblemCode.BEING_DELETED: (409, "The scenario is being deleted: it cannot be run or changed."),
    ProblemCode.SUITE_RUNNING: (409, "The suite is running: it cannot be started or deleted."),
    ProblemCode.DISABLED: (409, "The webhook is disabled."),
    ProblemCode.SCHEDULE_INVALID: (409, "The schedule is no longer valid and cannot be resumed."),
    ProblemCode.CHANGED_MEANWHILE: (412, "What is stored does not fit If-Match or If-None-Match."),
    ProblemCode.BODY_TOO_LARGE: (413, "The body is larger than 2.5 MiB."),
    ProblemCode.ENCODING_UNSUPPORTED: (415, "The body is compressed; send it as it is."),
    ProblemCode.PATCH_UNSUPPORTED: (415, "Patches are JSON merge patches."),
    ProblemCode.INVALID_REQUEST: (422, "Parameters or the body are invalid; `errors` says where."),
    ProblemCode.INVALID_FIELDS: (422, "Values do not fit what is stored; `errors` says which."),
    ProblemCode.INVALID_DOCUMENT: (422, "The document breaks rules of the language; `errors` has the lines."),
    ProblemCode.INVALID_VARIABLES: (422, "Values do not fit the scenario's variables."),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: (422, "The key was used with another request."),
    ProblemCode.TOO_MANY_REQUESTS: (429, "Too many unknown tokens came from this address."),
    ProblemCode.SERVER_ERROR: (500, "The server failed; its log says why."),
    ProblemCode.DATABASE_UNAVAILABLE: (503, "The database is unavailable or busy; try again later."),
    ProblemCode.HTTP_ERROR: (0, "Another error; `status` says which."),
}
CODES_OF_STATUSES = {
    400: ProblemCode.MALFORMED_REQUEST,
    401: ProblemCode.NOT_AUTHENTICATED,
    403: ProblemCode.PERMISSION_MISSING,
    404: ProblemCode.NO_SUCH_ADDRESS,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.BODY_TOO_LARGE,
    429: ProblemCode.TOO_MANY_REQUESTS,
    500: ProblemCode.SERVER_ERROR,
    503: ProblemCode.DATABASE_UNAVAILABLE,
}


def find_code(status: int) -> ProblemCode:
    """The code of an error if only its status is known."""
    return CODES_OF_STATUSES.get(status, ProblemCode.HTTP_ERROR)
