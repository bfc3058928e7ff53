"""Namespaces of clusters are held and protected like services, whatever a step calls their cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_django.fixtures import Settings

from scenarios.domain.plan import Step
from scenarios.drivers.kubernetes import namespaces
from scenarios.runs import admission

pytestmark = pytest.mark.django_db

NODES = "k8s/-nodes"


def fault(**arguments: Any) -> Step:
    return Step("kubernetes", {"delete_pod": {}, **arguments})


@pytest.fixture(autouse=True)
def _clusters(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump({"contexts": []}))
    settings.KUBERNETES_CONFIG = str(tmp_path / "kubeconfig")
    settings.KUBERNETES_CONTEXTS = ["west", "east"]


@pytest.mark.parametrize(
    ("step", "touched"),
    [
        (fault(namespace="shop"), {"k8s/shop"}),
        (fault(namespace="shop", cluster="west"), {"k8s/shop"}),
        (fault(namespace="shop", cluster="east"), {"k8s/shop@east"}),
        (Step("kubernetes", {"cordon": {}}), {NODES}),
        (Step("kubernetes", {"namespace": "shop", "of": "Pod"}), set()),  # only looks
    ],
)
def test_run_touches_the_namespaces_that_its_faults_name(step: Step, touched: set[str]) -> None:
    assert set(admission.find_touched([step])) == touched


@pytest.mark.parametrize(
    ("step", "asked"),
    [
        (fault(namespace="shop"), []),
        (fault(namespace="kube-system"), ["k8s/kube-system"]),
        (fault(namespace="kube-system", cluster="east"), ["k8s/kube-system@east"]),
        (Step("kubernetes", {"drain": {}}), [NODES]),
    ],
)
def test_protected_namespace_needs_an_approval(step: Step, asked: list[str]) -> None:
    touched, protected = admission.find_touched_and_protected([step])
    assert protected == asked
    assert admission.find_protected(touched) == asked


def test_every_namespace_or_none_can_be_protected(settings: Settings) -> None:
    settings.KUBERNETES_PROTECTED_NAMESPACES = ("*",)
    assert admission.find_protected(["k8s/shop"]) == ["k8s/shop"]
    settings.KUBERNETES_PROTECTED_NAMESPACES = ()
    assert admission.find_protected(["k8s/kube-system", NODES]) == []


def test_long_names_can_be_stored_and_stay_apart_and_protected() -> None:
    long = ["n" * 63, "n" * 62]
    targets = {namespaces.format_target(name, "c" * 200) for name in long}
    assert len(targets) == 2
    assert max(map(len, targets)) <= 68
    assert admission.find_protected(targets) == sorted(targets)


def test_targets_have_a_name_for_people() -> None:
    assert admission.describe_target("k8s/shop") == "namespace 'shop'"
    assert admission.describe_target("k8s/shop@east") == "namespace 'shop' of cluster 'east'"
    assert admission.describe_target(NODES) == "every node"
