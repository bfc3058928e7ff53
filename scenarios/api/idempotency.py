"""`Idempotency-Key`: a client may repeat a write that was not answered, and it is carried out once.

As https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from scenarios.access.idempotency import MAX_KEY_LENGTH, Answer, answer_once, fingerprint
from scenarios.api.access import authenticate
from scenarios.api.problems import HANDLERS, ProblemAt, RefusedError, describe_error

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A write that is repeated with the same key within 24 hours is not carried out again; "
    "it gets the first response.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
}
View = Callable[..., HttpResponse]


def run_once(run: View) -> View:
    @wraps(run)
    def wrapper(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
        if (key := request.headers.get(HEADER)) is None:
            return run(request, *arguments, **named)
        try:
            caller = str(authenticate(request))
            whole = fingerprint(str(request.method), request.get_full_path(), request.body)
            answer, was_kept = answer_once(
                caller, check_key(key), whole, lambda: keep_answer(run(request, *arguments, **named))
            )
        except tuple(HANDLERS) as error:
            return describe_error(error)
        again = {REPLAYED: "true"} if was_kept else {}
        return HttpResponse(answer.body, status=answer.status, headers={**answer.headers, **again})

    return wrapper


def check_key(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY_LENGTH or not all("!" <= character <= "~" for character in key):
        hint = f"use 1 to {MAX_KEY_LENGTH} visible ASCII characters, for example a new UUID"
        place = ProblemAt(path=f"header.{HEADER}", message="invalid value", hint=hint)
        raise RefusedError(f"Invalid {HEADER} {key[:80]!r}; {hint}.", [place])
    return key


def keep_answer(response: HttpResponse) -> Answer:
    return Answer(response.status_code, dict(response.items()), response.content)
