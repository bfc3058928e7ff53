"""`ETag`, `If-Match` and `If-None-Match`: nobody overwrites what somebody else has changed meanwhile.

https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from scenarios.api.names import is_label
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import build_problem
from scenarios.database.locks import lock_until_commit

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
NOT_MODIFIED_HEADERS = ("ETag", "Cache-Control")
MAX_DIGITS = 18
View = Callable[..., HttpResponse]


def describe_parameter(name: str, words: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": words,
        "schema": {"type": "string"},
    }


NOT_MODIFIED = {304: {"description": "The ETag is one of those in If-None-Match."}}
IF_NONE_MATCH_PARAMETER = describe_parameter(IF_NONE_MATCH, "Answer 304 if the ETag is still this one.")
READ = {"responses": NOT_MODIFIED, "parameters": [IF_NONE_MATCH_PARAMETER]}
WRITE_PARAMETERS = [
    describe_parameter(IF_MATCH, "Write only if the ETag is still this one; else 412."),
    describe_parameter(IF_NONE_MATCH, "With `*`: write only if nothing is stored there yet; else 412."),
]


@dataclass(frozen=True, slots=True)
class Versioned:
    """A resource whose version is computed from `fields` of its row. `key` names it in the address."""

    model: type[Model]
    fields: Sequence[str]
    key: str = "name"

    def find_tag(self, named: dict[str, Any]) -> str | None:
        """The ETag of the stored row; None without a row."""
        rows = self.model._default_manager.filter(**self._select(str(named[self.key])))  # noqa: SLF001 - Django's own public name for it
        found = rows.values_list("pk", *self.fields).first()
        return None if found is None else f'"{hashlib.sha256(repr(found).encode()).hexdigest()[:32]}"'

    def _select(self, word: str) -> dict[str, Any]:
        """A name that no row can have selects nothing, because the database might refuse it."""
        if self.key == "name":
            return {"name": word if is_label(word) else ""}
        return {"pk": int(word) if word.isdecimal() and len(word) <= MAX_DIGITS else 0}

    def read(self, run: View) -> View:
        """Answer 304 to a reader who has this version."""

        @wraps(run)
        def wrapper(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            response = run(request, *arguments, **named)
            if response.status_code == HTTPStatus.OK:
                self._add_tag(response, named)
                if matches_weakly(response.get("ETag"), request.headers.get(IF_NONE_MATCH, "")):
                    kept = {name: response[name] for name in NOT_MODIFIED_HEADERS if name in response}
                    return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=kept)
            return response

        return wrapper

    def write(self, run: View) -> View:
        """Refuse the write if what is stored is not what the caller has seen."""

        @wraps(run)
        def wrapper(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            with transaction.atomic():
                # Not the row, which may not exist yet, and which others lock after the row that admits runs.
                lock_until_commit(request.path)
                before = self.find_tag(named)
                if (sentence := explain_mismatch(request, before)) is not None:
                    return build_problem(
                        HTTPStatus.PRECONDITION_FAILED, ProblemCode.CHANGED_MEANWHILE, sentence
                    )
                response = run(request, *arguments, **named)
                if response.status_code >= HTTPStatus.BAD_REQUEST:
                    transaction.set_rollback(True)
                elif response.status_code == HTTPStatus.OK:
                    self._add_tag(response, named)
                    if before is None:
                        response.status_code = HTTPStatus.CREATED
                        response["Location"] = request.path
                return response

        return wrapper

    def _add_tag(self, response: HttpResponse, named: dict[str, Any]) -> None:
        if (tag := self.find_tag(named)) is not None:
            response["ETag"] = tag


def explain_mismatch(request: HttpRequest, tag: str | None) -> str | None:
    """Why a row with this ETag must not be written; None if it may."""
    wanted, unwanted = request.headers.get(IF_MATCH), request.headers.get(IF_NONE_MATCH)
    if wanted is not None and not matches(tag, wanted):
        if tag is None:
            return f"Nothing is stored here, so nothing matches {IF_MATCH}: {wanted[:80]}."
        if matches_weakly(tag, wanted):
            return f"{wanted[:80]} is weak, as a proxy that compresses may have made it. Send {tag}."
        return f"It was changed meanwhile: its ETag is {tag}, not {wanted[:80]}. Read it again."
    if unwanted is not None and matches_weakly(tag, unwanted):
        return f"It exists: its ETag is {tag}. Read it, and send {IF_MATCH} to change it."
    return None


def matches(tag: str | None, header: str) -> bool:
    tags = parse_etags(header)
    return tag is not None and ("*" in tags or tag in tags)


def matches_weakly(tag: str | None, header: str) -> bool:
    """If-None-Match ignores the mark of a weak ETag; If-Match does not, and is never matched by one."""
    return tag is not None and matches(
        tag, ", ".join(word.removeprefix("W/") for word in parse_etags(header))
    )
