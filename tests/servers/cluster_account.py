"""The account that `manage.py kubernetes_roles` prints roles for, with the rights that errors ask for."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scenarios.domain.errors import StepNotDone
from scenarios.drivers.kubernetes.rules import ACCOUNT, RBAC, build_roles
from tests.servers.kube_apiserver import ApiServer
from tests.servers.loopback import wait_for

T = TypeVar("T")
_RULE = re.compile(
    r'add \{apiGroups: \["([^"]*)"\], resources: \[([^]]+)\], verbs: \[(\w+)\]\} to the (Role|ClusterRole) of'
)


class Right(NamedTuple):
    group: str
    resource: str
    verb: str
    role: str


@dataclass
class Account:
    """One without rights at first, in the namespace that it may break; `rights` are those it has got.

    `only_role` is the kind of its role if it has one alone.
    """

    server: ApiServer
    namespace: str
    kubeconfig: Path
    only_role: str = ""
    rights: list[Right] = field(default_factory=list)

    async def do(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of the call, which is tried again with each right that its error asks for.

        Raises:
            StepNotDone: it failed for another reason, or a right that it has does not suffice.
        """
        while True:
            try:
                return await call()
            except StepNotDone as error:
                asked = _RULE.search(str(error))
                if asked is None:
                    raise
                right = Right(asked[1], asked[2], asked[3], self.only_role or asked[4])
                if right in self.rights:
                    raise
                self.grant(right)

    def grant(self, right: Right) -> None:
        self.rights.append(right)
        rules = [
            {"apiGroups": [each.group], "resources": [each.resource], "verbs": [each.verb]}
            for each in self.rights
            if each.role == right.role
        ]
        self.server.merge(self._find_role(right.role), {"rules": rules})
        wait_for(lambda: self._is_allowed(right), what=f"the API server knows of {right}")

    def _find_role(self, role: str) -> str:
        base = f"/apis/{RBAC}/v1"
        if role == "ClusterRole":
            return f"{base}/clusterroles/{self.namespace}"
        return f"{base}/namespaces/{self.namespace}/roles/{ACCOUNT}"

    def _is_allowed(self, right: Right) -> bool:
        namespace = self.namespace if right.role == "Role" else ""
        user = f"system:serviceaccount:{self.namespace}:{ACCOUNT}"
        return find_allowed(self.server, user, right, namespace)


def find_allowed(server: ApiServer, user: str, right: Right, namespace: str) -> bool:
    """Whether the user has the right in the namespace, or in the whole cluster if that is ""."""
    resource, _, subresource = right.resource.partition("/")
    where = {"namespace": namespace} if namespace else {}
    asked = {"group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {**asked, **where}},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(server.ask("POST", path, body)["status"]["allowed"])


def open_account(server: ApiServer, kind: str, namespace: str, folder: Path) -> Account:
    """With the role and binding that are printed for this kind, but no rule in the role."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    server.ask("POST", path, account)
    documents = build_roles([kind], namespace, namespace)
    for document in documents:
        server.apply(_empty(document, namespace))
    token = server.ask("POST", f"{path}/{ACCOUNT}/token", {"spec": {}})["status"]["token"]
    server.write_kubeconfig(folder / "account.kubeconfig", token)
    roles = [document["kind"] for document in documents if "rules" in document]
    only_role = roles[0] if len(roles) == 1 else ""
    return Account(server, namespace, folder / "account.kubeconfig", only_role)


def _empty(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    document = {**document, **({"rules": []} if "rules" in document else {})}
    if document["kind"].startswith("ClusterRole"):  # which the tests of one cluster share
        document["metadata"] = {"name": namespace}
        if "roleRef" in document:
            document["roleRef"] = {**document["roleRef"], "name": namespace}
    return document
