"""The words of `kubernetes` probes and faults."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration, check_dns_label
from scenarios.domain.declarations import Duration as Seconds
from scenarios.domain.durations import format_duration
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import find_secrets
from scenarios.drivers.host_arguments import Pick

MAX_GRACE = 3600.0
# Both end a fault of theirs by themselves; anything else would need one who ends it.
CHAOS_GROUPS = ("chaos-mesh.org", "litmuschaos.io")
OF_NODES = frozenset({"cordon", "drain"})
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,100}")
_FIELD_VALUE = re.compile(r"[^,=!\\\s]{0,253}")
_POINTER = re.compile(r"(/([^~/]|~0|~1)+)+")
_API_VERSION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?v[0-9][a-z0-9]{0,20}")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
# Whatever else there is in `metadata` decides what object it is.
_PATCHED_METADATA = ("/metadata/labels/", "/metadata/annotations/")
_OWN_WORDS = "test-coordinator~1"


def _check_object_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a name in Kubernetes: use a-z, 0-9, '-' and '.'")
    return text


def _check_label_name(text: str) -> str:
    if not _LABEL_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the name of a label: write it as 'app' or 'example.org/app'")
    return text


def _check_label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not the value of a label: use letters, digits, '-', '_' and '.'")
    return text


def _check_field_name(text: str) -> str:
    if not _FIELD_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a field: write it as 'spec.nodeName'")
    return text


def _check_field_value(text: str) -> str:
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} cannot be selected by: it must not have ',', '=' or spaces")
    return text


def _check_pointer(text: str) -> str:
    if not _POINTER.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a JSON Pointer: write it as '/spec/replicas' (RFC 6901)")
    if text.startswith("/metadata") and not text.startswith(_PATCHED_METADATA):
        raise ValueError(f"{text[:80]!r} cannot be patched: of 'metadata', only labels and annotations can")
    if text.startswith(("/status", "/kind", "/apiVersion")) or _OWN_WORDS in text:
        raise ValueError(
            f"{text[:80]!r} cannot be patched: what is there is not the wanted state of an object"
        )
    return text


def _check_api_version(text: str) -> str:
    if not _API_VERSION.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not an apiVersion: write it as 'v1' or 'apps/v1'")
    return text


def _check_kind(text: str) -> str:
    if not _KIND.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a kind of objects: write it as 'Deployment'")
    return text


def _check_grace(seconds: float) -> float:
    if seconds > MAX_GRACE:
        raise ValueError(f"'{format_duration(seconds)}' is too long: wait an hour at most")
    return seconds


Namespace = Annotated[str, AfterValidator(check_dns_label)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_check_object_name)]
LabelName = Annotated[str, AfterValidator(_check_label_name)]
LabelValue = Annotated[str, AfterValidator(_check_label_value)]
FieldName = Annotated[str, AfterValidator(_check_field_name)]
FieldValue = Annotated[str, AfterValidator(_check_field_value)]
Labels = Annotated[dict[LabelName, LabelValue], Field(min_length=1, max_length=20)]
Fields = Annotated[dict[FieldName, FieldValue], Field(min_length=1, max_length=10)]
Grace = Annotated[Seconds, AfterValidator(_check_grace)]
ApiVersion = Annotated[str, AfterValidator(_check_api_version)]
Kind = Annotated[str, AfterValidator(_check_kind)]
Workload = Literal["Deployment", "StatefulSet", "ReplicaSet"]


class DeletePod(Declaration):
    """Delete the pods; `grace` is the time that their processes get to end, by default that of each pod."""

    grace: Grace = Field(ABSENT)


class EvictPod(Declaration):
    """Evict the pods: a disruption budget may refuse it. `grace` as for `delete_pod`."""

    grace: Grace = Field(ABSENT)


class Scale(Declaration):
    """Change the number of replicas of Deployments, StatefulSets or ReplicaSets (`of`)."""

    of: Workload = "Deployment"
    replicas: Annotated[int, Field(ge=0, le=1000), WHOLE]


class RolloutRestart(Declaration):
    """Replace all pods of Deployments, StatefulSets or DaemonSets (`of`), as `kubectl rollout restart`."""

    of: Literal["Deployment", "StatefulSet", "DaemonSet"] = "Deployment"


class Isolate(Declaration):
    """Let no connection reach the pods (`in`), leave them (`out`), or either, with a NetworkPolicy."""

    direction: Literal["in", "out", "both"] = "both"


class Cordon(Declaration):
    """Let no new pod be placed on the nodes."""


class Drain(Declaration):
    """As `cordon`, and evict the pods of the nodes, except those of DaemonSets; `grace` as above."""

    grace: Grace = Field(ABSENT)


class Patch(Declaration):
    """Change the field at `path` (a JSON Pointer) of objects of the kind `of`; the undo restores its value.

    Without `value`, the field is removed.
    """

    of: Kind
    api_version: Annotated[ApiVersion, Field(alias="apiVersion")] = "v1"
    path: Annotated[str, Field(max_length=500), AfterValidator(_check_pointer)]
    value: Any = Field(ABSENT)

    @property
    def removes(self) -> bool:
        return "value" not in self.model_fields_set


class ChaosObject(Declaration):
    """An object of Chaos Mesh or Litmus with this `spec`. The coordinator sets its duration and renews it."""

    api_version: Annotated[ApiVersion, Field(alias="apiVersion")]
    kind: Kind
    spec: Annotated[dict[str, Any], Field(min_length=1)]

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        version = values.get("apiVersion")
        if isinstance(version, str) and version.partition("/")[0] not in CHAOS_GROUPS:
            yield (
                "apiVersion",
                f"{version[:80]!r} is not of Chaos Mesh ('chaos-mesh.org/…') or Litmus ('litmuschaos.io/…')",
            )


class _Cluster(Declaration):
    cluster: Annotated[str, Field(min_length=1, max_length=200)] = Field(ABSENT)
    namespace: Namespace = Field(ABSENT)
    timeout: PositiveDuration = 20.0


class KubernetesReturned(Returned):
    found: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many objects are selected.")
    ready: int = Field(ge=0, description="How many pods or nodes are ready, or replicas of workloads.")
    wanted: int = Field(ge=0, description="How many replicas the workloads should have.")
    updated: int = Field(ge=0, description="How many of the replicas have the newest template.")
    available: int = Field(ge=0, description="How many replicas have been ready for `minReadySeconds`.")
    restarts: int = Field(ge=0, description="How often containers of the pods were started again.")
    phases: dict[str, int] = Field(
        description="How many pods are in each state, such as `Running`, `Pending` or `CrashLoopBackOff`."
    )
    reasons: dict[str, int] = Field(description="How often each reason of events occurred.")
    messages: list[str] = Field(description="The texts of the newest 20 events.")
    unschedulable: int = Field(ge=0, description="On how many nodes no new pod is placed.")
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds, with the connection.")


class KubernetesArguments(_Cluster):
    """Objects of the kind `of` in a `namespace`: one by its `name`, or those with the labels `where` and the
    `fields` of a field selector. `since` limits events to those of this time.
    """

    Returns: ClassVar[type[Returned]] = KubernetesReturned
    of: Literal["Pod", "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Node", "Event"] = "Pod"
    name: ObjectName = Field(ABSENT)
    where: Labels = Field(ABSENT)
    fields: Fields = Field(ABSENT)
    since: PositiveDuration = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from _find_secret_words(values)
        if values.get("of") == "Node":
            if "namespace" in values:
                yield "namespace", "'namespace' and 'of: Node' cannot be combined: nodes are in no namespace"
        elif "namespace" not in values:
            yield "", "the step has no 'namespace': give the one of the objects"
        if "since" in values and values.get("of") != "Event":
            yield "since", "'since' needs 'of: Event'"
        if "name" in values and "where" in values:
            yield "where", "'where' and 'name' cannot be combined: choose objects in one way"


class KubernetesFaultArguments(_Cluster):
    """Objects of a `namespace`, chosen by `name`, or by the labels `where` and the `fields` of a field
    selector; `pick` limits how many have the fault, and the same `seed` picks the same. One kind of fault.

    Choosing all existing objects is refused without `allow_all`.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        "delete_pod",
        "evict",
        "scale",
        "rollout_restart",
        "isolate",
        "cordon",
        "drain",
        "patch",
        "chaos",
    )

    name: ObjectName = Field(ABSENT)
    where: Labels = Field(ABSENT)
    fields: Fields = Field(ABSENT)
    pick: Pick = Field(ABSENT)
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = 0
    allow_all: bool = False
    delete_pod: DeletePod = Field(ABSENT)
    evict: EvictPod = Field(ABSENT)
    scale: Scale = Field(ABSENT)
    rollout_restart: RolloutRestart = Field(ABSENT)
    isolate: Isolate = Field(ABSENT)
    cordon: Cordon = Field(ABSENT)
    drain: Drain = Field(ABSENT)
    patch: Patch = Field(ABSENT)
    chaos: ChaosObject = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from _find_secret_words(values)
        kinds = [kind for kind in cls.KINDS if kind in values]
        if not kinds:
            yield "", f"the fault has no kind: give one of {', '.join(map(repr, cls.KINDS))}"
            return
        for extra in kinds[1:]:
            yield extra, f"{extra!r} and {kinds[0]!r} cannot be combined: write a fault for each"
        yield from _find_namespace_problems(values, kinds[0])
        choosing = [word for word in ("name", "where", "fields", "pick") if word in values]
        if kinds[0] == "chaos":
            for word in choosing:
                yield word, f"{word!r} and 'chaos' cannot be combined: the selector is in its 'spec'"
        elif "name" in values:
            for word in choosing[1:]:
                yield word, f"{word!r} and 'name' cannot be combined: choose objects in one way"

    @property
    def kind(self) -> str:
        return find_kind(self.model_fields_set)


def find_kind(arguments: Any) -> str:
    """The kind of a fault that has these words."""
    return next((kind for kind in KubernetesFaultArguments.KINDS if kind in arguments), "")


def _find_namespace_problems(values: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    if kind in OF_NODES:
        if "namespace" in values:
            yield "namespace", f"'namespace' and {kind!r} cannot be combined: nodes are in no namespace"
    elif kind != "patch" and "namespace" not in values:
        yield "", "the fault has no 'namespace': give the one of the objects"


def _find_secret_words(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for word in ("cluster", "namespace", "name", "where", "fields"):
        if word in values and find_secrets(values[word]):
            # Else nobody could approve what the run touches, and the plan could not show it.
            yield word, f"{word!r} has a secret, so nobody could know what the run touches: use a variable"
