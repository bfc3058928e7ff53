"""The errors of this library. Each has the server's sentence; refusals have its `code` as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_SHOWN = 5
VARIABLES_PREFIX = "body.variables."


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a document; lines and columns start at 1."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"line {self.line}, column {self.column}: {self.message}{hint}"


class CoordinatorError(Exception):
    """Base class of all errors of this library; its text is a sentence for users.

    `code` names the cause for programs. `response` is a `Response`, if what the server has answered is the
    error.
    """

    code = ""
    status: int | None = None
    response: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For pools of processes: the arguments of a subclass are not those of its text."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[CoordinatorError], args: tuple[Any, ...], fields: Mapping[str, Any]
) -> CoordinatorError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class SettingsError(CoordinatorError):
    """The address, the token, a profile or a certificate authority cannot be used."""

    code = "settings"


class UnavailableError(CoordinatorError):
    """The coordinator does not respond, or asks to be left alone; it may respond later."""

    code = "unavailable"


class UnexpectedAnswerError(CoordinatorError):
    """The response is not that of a coordinator, or of an incompatible version."""

    code = "unexpected_answer"

    def __init__(self, server: str, what: str) -> None:
        super().__init__(f"{server} answered {what}; check that this is a coordinator's address.")


class NotUnderstoodError(CoordinatorError):
    """A response lacks a field that the API promises."""

    code = "unexpected_answer"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The coordinator's response has no valid {name!r}; check that both have the same version."
        )


class WaitTimeoutError(CoordinatorError):
    """The run has not ended in time. It continues, or was stopped: `run` is as it was seen last."""

    code = "not_in_time"

    def __init__(self, sentence: str, run: Any = None) -> None:
        super().__init__(sentence)
        self.run = run


class RefusedError(CoordinatorError):
    """The API answered with a problem document.

    `code` names the cause (docs/api.md lists all); `errors` has each single error as the API sends it.
    """

    def __init__(
        self, sentence: str, *, status: int, code: str = "", errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.code = code
        self.errors = list(errors)


class NotAuthenticatedError(RefusedError):
    """The token is missing, unknown, expired or revoked."""


class PermissionMissingError(RefusedError):
    """The token lacks a scope, its owner a permission, or somebody else must decide."""


class NotFoundError(RefusedError):
    """What the request names does not exist."""


class NotSupportedError(NotFoundError):
    """The coordinator has no such address: it is older than this client."""


class ConflictError(RefusedError):
    """The request does not fit the present state."""


class InvalidRequestError(RefusedError):
    """Values are not valid; `errors` says which."""


class InvalidDocumentError(InvalidRequestError):
    """The document breaks rules of the language; `problems` lists all of them, in its order."""

    def __init__(
        self,
        problems: Sequence[Problem],
        sentence: str = "",
        *,
        status: int = 422,
        code: str = "invalid_document",
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        text = "\n".join(str(problem) for problem in problems) or sentence
        super().__init__(text, status=status, code=code, errors=errors)
        self.sentence = sentence or text
        self.problems = tuple(problems)


class InvalidVariablesError(InvalidRequestError):
    """Values do not fit the scenario's variables; `variables` maps a name to a sentence."""

    def __init__(
        self,
        variables: Mapping[str, str],
        sentence: str = "",
        *,
        status: int = 422,
        code: str = "invalid_variables",
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        text = "\n".join(variables.values())
        super().__init__(text, status=status, code=code, errors=errors)
        self.sentence = sentence or text
        self.variables = dict(variables)


KINDS: Mapping[int, type[RefusedError]] = {
    401: NotAuthenticatedError,
    403: PermissionMissingError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    422: InvalidRequestError,
}
UNPROCESSABLE = 422


def build_refusal(
    sentence: str, *, status: int, code: str, errors: Sequence[Mapping[str, Any]]
) -> RefusedError:
    """The error that fits the problem document."""
    if status == UNPROCESSABLE:
        if problems := list_document_problems(errors):
            return InvalidDocumentError(problems, sentence, status=status, code=code, errors=errors)
        if variables := _list_variables(errors):
            return InvalidVariablesError(variables, sentence, status=status, code=code, errors=errors)
        if details := _list_details(errors):
            error = InvalidRequestError(f"{sentence} {details}", status=status, code=code, errors=errors)
            error.sentence = sentence
            return error
    kind = NotSupportedError if code == "no_such_address" else KINDS.get(status, RefusedError)
    return kind(sentence, status=status, code=code, errors=errors)


def _list_details(errors: Sequence[Mapping[str, Any]]) -> str:
    found = [f"{item.get('path', '')}: {item['message']}" for item in errors if "message" in item]
    more = f", and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else ""
    return "; ".join(found[:MAX_SHOWN]) + more


def list_document_problems(errors: Sequence[Mapping[str, Any]]) -> list[Problem]:
    return [
        Problem(
            item["line"],
            item.get("column", 1),
            str(item.get("path", "")),
            str(item.get("message", "")),
            str(item.get("hint", "")),
        )
        for item in errors
        if isinstance(item.get("line"), int)
    ]


def _list_variables(errors: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(item["path"]).removeprefix(VARIABLES_PREFIX): str(item["message"])
        for item in errors
        if str(item.get("path", "")).startswith(VARIABLES_PREFIX) and "message" in item
    }
