"""Definitions of objects of Chaos Mesh and Litmus, with the fields of their faults; without their operators.

https://github.com/chaos-mesh/chaos-mesh/tree/master/config/crd and
https://github.com/litmuschaos/chaos-operator/tree/master/config/crd have the whole ones.
"""

from typing import Any

from tests.servers.kube_apiserver import ApiServer
from tests.servers.loopback import wait_for

VERSION = "v1alpha1"
# A fault of Chaos Mesh: connections of one pod are slow.
SLOW: dict[str, Any] = {
    "apiVersion": f"chaos-mesh.org/{VERSION}",
    "kind": "NetworkChaos",
    "spec": {"action": "delay", "mode": "one", "selector": {}, "delay": {"latency": "300ms"}},
}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_MAP = {"type": "object", "additionalProperties": _TEXT}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _one_of(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": words}


_MODE = _one_of("one", "all", "fixed", "fixed-percent", "random-max-percent")
_SELECTOR = _object(
    {
        "namespaces": _TEXTS,
        "labelSelectors": _MAP,
        "annotationSelectors": _MAP,
        "fieldSelectors": _MAP,
        "podPhaseSelectors": _TEXTS,
        "pods": {"type": "object", "additionalProperties": _TEXTS},
    }
)
_NETWORK_CHAOS = _object(
    {
        "action": _one_of("netem", "delay", "loss", "duplicate", "corrupt", "partition", "bandwidth"),
        "mode": _MODE,
        "value": _TEXT,
        "selector": _SELECTOR,
        "duration": _TEXT,
        "direction": _one_of("to", "from", "both"),
        "delay": _object({"latency": _TEXT, "jitter": _TEXT, "correlation": _TEXT}, "latency"),
        "target": _object({"mode": _MODE, "selector": _SELECTOR}, "mode", "selector"),
    },
    "action",
    "mode",
    "selector",
)
_VARIABLES = {"type": "array", "items": _object({"name": _TEXT, "value": _TEXT}, "name")}
_EXPERIMENT = _object({"name": _TEXT, "spec": _object({"components": _object({"env": _VARIABLES})})})
_CHAOS_ENGINE = _object(
    {
        "appinfo": _object({"appns": _TEXT, "applabel": _TEXT, "appkind": _TEXT}),
        "engineState": _one_of("active", "stop"),
        "chaosServiceAccount": _TEXT,
        "experiments": {"type": "array", "items": _EXPERIMENT},
    }
)
_DEFINITIONS = (
    ("chaos-mesh.org", "networkchaos", "NetworkChaos", _NETWORK_CHAOS),
    ("litmuschaos.io", "chaosengines", "ChaosEngine", _CHAOS_ENGINE),
)


def install_definitions(server: ApiServer) -> None:
    """From then on, the server has such objects."""
    for group, plural, kind, spec in _DEFINITIONS:
        schema = _object({"spec": spec, "status": {"type": "object"}})
        version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
        server.apply(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}"},
                "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
            }
        )
    for group, plural, kind, _ in _DEFINITIONS:
        wait_for(
            lambda group=group, plural=plural: server.get(f"/apis/{group}/{VERSION}/{plural}"),  # type: ignore[misc]
            what=f"the server has the objects {kind}",
        )
