"""What an API server answers where it refuses, as a sentence with a hint; and which RBAC rule is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from scenarios.domain.errors import StepNotDone
from scenarios.domain.matchers import format_value
from scenarios.drivers.kubernetes.resources import Resource

PRINT_ROLES = "'manage.py kubernetes_roles' prints all rules that the faults need"
# https://kubernetes.io/docs/reference/access-authn-authz/authorization/: the words of its authorizer.
_BY_AUTHORIZER = "cannot"
_DELETED = "NamespaceTerminating"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the rules of a Role name it; `verb` is that of RBAC, not of HTTP."""

    verb: str
    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""

    @property
    def path(self) -> str:
        is_list = self.verb == "list" or (self.verb == "create" and not self.subresource)
        return self.resource.build_path(self.namespace, "" if is_list else self.name, self.subresource)

    @property
    def target(self) -> str:
        """As "Deployment 'cart' in namespace 'shop'"."""
        named = f"{self.resource.kind} {self.name!r}" if self.name else (self.resource.plural or "the API")
        in_namespace = self.namespace is not None and self.resource.is_namespaced
        return f"{named} in namespace {self.namespace!r}" if in_namespace else named

    @property
    def rule(self) -> str:
        """The rule that a Role must have for it, in YAML."""
        plural = f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural
        return f'{{apiGroups: ["{self.resource.group}"], resources: [{plural}], verbs: [{self.verb}]}}'

    def __str__(self) -> str:
        return f"{self.verb} {self.subresource or self.target}".replace("  ", " ")


class Refusal(StepNotDone):
    """The API server answered that it did not do it; `status` is that of HTTP, `reason` its own word."""

    def __init__(self, sentence: str, status: int, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(sentence, retry_after=retry_after)
        self.status = status
        self.reason = reason

    @property
    def is_conflict(self) -> bool:
        """Whether somebody has changed or created the object meanwhile."""
        return self.status == HTTPStatus.CONFLICT


def explain(name: str, asked: Request, status: int, answer: Mapping[str, Any]) -> Refusal:
    """The error for this answer, which is a `Status` of the API."""
    reason, message = str(answer.get("reason") or ""), str(answer.get("message") or "")
    said = format_value(message.strip() or f"status {status}")
    details = answer.get("details")
    after = float(details.get("retryAfterSeconds") or 0) if isinstance(details, dict) else 0.0
    if status == HTTPStatus.UNAUTHORIZED:
        sentence = (
            f"{name} does not accept the account: its token or certificate has expired, or is of another "
            "cluster; renew it in the kubeconfig, or have the pod's account mounted again"
        )
    elif status == HTTPStatus.FORBIDDEN and _BY_AUTHORIZER in message:
        where = (
            f"the Role of its account in namespace {asked.namespace!r}"
            if asked.namespace is not None and asked.resource.is_namespaced
            else "the ClusterRole of its account"
        )
        sentence = f"{name} forbids to {asked}: add {asked.rule} to {where}; {PRINT_ROLES}"
    elif status == HTTPStatus.FORBIDDEN and _is_being_deleted(details):
        sentence = f"{name} refused to {asked}: the namespace is being deleted"
    elif status == HTTPStatus.NOT_FOUND:
        sentence = f"{name} has no {asked.target}: {said}"
    elif status == HTTPStatus.CONFLICT and reason == "AlreadyExists":
        sentence = f"{name} has {asked.resource.kind} already: {said}"
    elif status == HTTPStatus.CONFLICT:
        sentence = f"{asked.target} was changed by somebody else at the same moment: {said}"
    else:
        sentence = f"{name} refused to {asked} with {status}: {said}"
    return Refusal(sentence, status, reason, retry_after=after)


def _is_being_deleted(details: object) -> bool:
    """Whether the server makes nothing new in a namespace for this reason."""
    causes = details.get("causes") if isinstance(details, dict) else None
    listed = causes if isinstance(causes, list) else []
    return any(isinstance(cause, dict) and cause.get("reason") == _DELETED for cause in listed)
