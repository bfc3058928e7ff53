"""What is applied to clusters, and what faults make there, is valid for each version that is supported."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.isolation import build_policy
from scenarios.drivers.kubernetes.pods import build_eviction
from scenarios.drivers.kubernetes.resources import PODS
from scenarios.drivers.kubernetes.rules import ALL, build_patch_rule, build_roles
from tests.servers.manifests import list_manifests

OLDEST = (1, 28)
UNTIL = "2026-11-27T12:00:00Z"


def read_number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")[:2]))


VERSIONS = sorted(
    {version for version in utils.all_versions() if read_number(version) >= OLDEST}, key=read_number
)


@pytest.fixture(autouse=True)
def _schemas_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "schema_contents", read_schema)


read_schema = cache(utils.schema_contents)


def require_valid(document: Mapping[str, Any], version: str) -> None:
    kubernetes_validate.validate(dict(document), version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", ["kubernetes", "kubernetes-faults", "kubernetes-rq"])
def test_manifests_are_valid(overlay: str, version: str) -> None:
    manifests = list_manifests(overlay)
    assert {"Deployment", "Job", "Service", "Secret"} <= {document["kind"] for document in manifests}
    for document in manifests:
        require_valid(document, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_printed_roles_are_valid(version: str) -> None:
    more = [build_patch_rule("apps", "deployments", is_namespaced=True)]
    roles = build_roles(ALL, "shop", "test-coordinator", more)
    assert [each["kind"] for each in roles] == ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
    for document in roles:
        require_valid(document, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("direction", ["in", "out", "both"])
def test_policies_and_evictions_of_faults_are_valid(direction: str, version: str) -> None:
    words = {"namespace": "shop", "where": {"app": "cart"}, "isolate": {"direction": direction}}
    for chosen in ({}, {"pick": 1}):
        arguments = KubernetesFaultArguments.model_validate({**words, **chosen})
        require_valid(build_policy(arguments, "test-coordinator-f1", "f1", UNTIL), version)
    pod = Target(PODS, "shop", "cart-0", "11111111-2222-3333-4444-555555555555")
    for grace in (None, 0.0, 30.0):
        require_valid(build_eviction(pod, "policy/v1", grace), version)


def test_words_that_no_version_knows_are_found() -> None:
    assert read_number(VERSIONS[0]) == OLDEST
    (policy,) = [each for each in list_manifests("kubernetes") if each["kind"] == "Service"]
    misspelt = {**policy, "spec": {**policy["spec"], "port": 80}}
    for version in VERSIONS:
        with pytest.raises(kubernetes_validate.ValidationError, match="'port' was unexpected"):
            require_valid(misspelt, version)
