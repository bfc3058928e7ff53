"""What Chaos Mesh and Litmus are given: with a duration, and in the namespace of the fault alone."""

from typing import Any

import pytest

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.kubernetes import chaos
from scenarios.drivers.kubernetes.arguments import ChaosObject


def build(spec: dict[str, Any], kind: str = "NetworkChaos") -> dict[str, Any]:
    version = "litmuschaos.io/v1alpha1" if kind == "ChaosEngine" else "chaos-mesh.org/v1alpha1"
    wanted = ChaosObject.model_validate({"apiVersion": version, "kind": kind, "spec": spec})
    return chaos.build_spec(wanted, "shop", 60.0)


def test_selectors_without_a_namespace_get_that_of_the_fault() -> None:
    selector = {"labelSelectors": {"app": "cart"}}
    spec = {"selector": selector, "target": {"mode": "all", "selector": {}}, "duration": "9h"}
    assert build(spec) == {
        "selector": {**selector, "namespaces": ["shop"]},
        "target": {"mode": "all", "selector": {"namespaces": ["shop"]}},
        "duration": "60s",
    }
    assert "namespaces" not in selector  # the document is as it was


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {"namespaces": ["shop", "kube-system"]}},
        {"selector": {"pods": {"kube-system": ["dns"]}}},
        {"selector": {}, "target": {"selector": {"namespaces": ["kube-system"]}}},
    ],
)
def test_selector_of_another_namespace_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(StepImpossible, match="selects in namespace 'kube-system'"):
        build(spec)


def test_each_experiment_of_litmus_gets_the_duration() -> None:
    env = [{"name": "TOTAL_CHAOS_DURATION", "value": "9000"}, {"name": "FORCE", "value": "true"}]
    experiment = {"name": "pod-delete", "spec": {"components": {"env": env}}}
    built = build({"appinfo": {"applabel": "app=cart"}, "experiments": [experiment]}, "ChaosEngine")
    assert built["appinfo"]["appns"] == "shop"
    (only,) = built["experiments"]
    assert only["spec"]["components"]["env"] == [
        {"name": "FORCE", "value": "true"},
        {"name": "TOTAL_CHAOS_DURATION", "value": "60"},
    ]
    with pytest.raises(StepImpossible, match="no list of 'experiments'"):
        build({"appinfo": {}}, "ChaosEngine")


def test_an_object_lasts_a_minute_at_least() -> None:
    assert [chaos.compute_seconds(lease) for lease in (5.0, 90.0)] == [60.0, 90.0]
