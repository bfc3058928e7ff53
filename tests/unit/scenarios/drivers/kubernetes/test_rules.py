"""The Roles that are shipped are those that the declarations of the faults need."""

from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments
from scenarios.drivers.kubernetes.rules import ALL, RULES, Rule, merge
from tests.servers.coordinator import PROJECT
from tests.servers.documented import Page
from tests.servers.manifests import DEPLOY, documents

FOLDER = DEPLOY / "kubernetes-faults"


def print_roles(*words: str) -> list[dict[str, Any]]:
    output = StringIO()
    call_command("kubernetes_roles", *words, stdout=output)
    return list(yaml.safe_load_all(output.getvalue()))


def test_each_kind_of_fault_has_its_rules() -> None:
    assert set(KubernetesFaultArguments.KINDS) < set(ALL)
    assert RULES.keys() == set(ALL)


@pytest.mark.parametrize("file", ["roles.yaml", "roles-of-nodes.yaml"])
def test_shipped_roles_are_those_that_the_command_prints(file: str) -> None:
    path = FOLDER / file
    command = path.read_text().splitlines()[0].partition("manage.py kubernetes_roles ")[2]
    assert documents(path) == print_roles(*command.split())


def test_commands_of_the_page_print_roles() -> None:
    lines = [line for line in Page(PROJECT / "docs" / "kubernetes.md").commands() if "_roles" in line]
    kinds = [{each["kind"] for each in print_roles(*line.split()[3:])} for line in lines]
    assert kinds == [{"Role", "RoleBinding"}, {"Role", "RoleBinding"}, {"ClusterRole", "ClusterRoleBinding"}]


def test_role_of_one_kind_has_nothing_for_others() -> None:
    role, binding = print_roles("--namespace", "shop", "--kind", "delete_pod")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete", "get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    assert role["metadata"] == binding["metadata"]
    assert binding["subjects"][0]["namespace"] == "test-coordinator"


def test_what_patch_may_change_is_added() -> None:
    role, _ = print_roles("--namespace", "shop", "--kind", "patch", "--patch", "configmaps")
    assert {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]} in role[
        "rules"
    ]
    with pytest.raises(CommandError, match="'apps/Deployment' is not a kind of objects"):
        print_roles("--namespace", "shop", "--patch", "apps/Deployment")


def test_rules_of_one_resource_are_merged() -> None:
    rules = [Rule("", ("pods",), ("get",)), Rule("", ("pods", "events"), ("list",))]
    assert merge(rules) == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    ]
