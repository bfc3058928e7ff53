"""The words of `fault: {container: …}` and of the probe `container`."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, Duration, PositiveDuration
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.templates import find_secrets
from scenarios.drivers.host_arguments import (
    AllTraffic,
    LossyTraffic,
    NameLookups,
    NarrowTraffic,
    Pick,
    Size,
    SlowTraffic,
    Traffic,
)

MAX_GRACE = 15
_WAYS = ("where", "image")


class Limits(Declaration):
    """The container may use this many `cpus` and this much `memory`, both less than before."""

    cpus: Annotated[float, Field(ge=0.01, le=4096)] = Field(ABSENT)
    memory: Size = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not {"cpus", "memory"} & values.keys():
            yield "", "the fault has no effect: give 'cpus' or 'memory'"


# Those of Docker, then those that only Podman has, then the driver's own.
_State = Literal[
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
    "configured",
    "initialized",
    "stopping",
    "stopped",
    "unknown",
    "absent",
    "mixed",
]
_Health = Literal["starting", "healthy", "unhealthy", "none", "absent", "mixed"]


class ContainerReturned(Returned):
    count: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many containers were found.")
    running: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many of these run.")
    healthy: int = Field(
        json_schema_extra=ALWAYS, ge=0, description="How many of these run and pass their health check."
    )
    state: _State = Field(
        json_schema_extra=ALWAYS,
        description="running, paused, restarting, exited and so on; absent if there is none, or mixed.",
    )
    health: _Health = Field(
        json_schema_extra=ALWAYS,
        description="starting, healthy, unhealthy, or none without a health check; absent or mixed.",
    )
    restarts: int = Field(
        json_schema_extra=ALWAYS, ge=0, description="How often the engine has restarted them, in all."
    )
    exit_code: int = Field(description="Of the only container, if it does not run.")


class Selection(Declaration):
    """`name`, or `where` with the labels of containers, or `image`, which may have `*`.

    `engine` is one of CONTAINER_ENGINES; it may be left out if there is only one.
    """

    engine: Annotated[str, Field(min_length=1, max_length=20)] = Field(ABSENT)
    name: Annotated[str, Field(min_length=1, max_length=255)] = Field(ABSENT)
    where: Annotated[dict[str, str], Field(min_length=1)] = Field(ABSENT)
    image: Annotated[str, Field(min_length=1, max_length=500)] = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        ways = [word for word in _WAYS if word in values]
        if "name" in values and ways:
            yield ways[0], f"{ways[0]!r} and 'name' cannot be combined: choose containers in one way"
        if "name" not in values and not ways:
            yield "", "the step has no container: give 'name', 'where' or 'image'"

    def describe(self) -> str:
        if self.name is not None:
            return f"the name {self.name!r}"
        labels = ", ".join(f"{name}={value}" for name, value in sorted((self.where or {}).items()))
        parts = [f"the labels {labels}" if labels else "", f"the image {self.image!r}" if self.image else ""]
        return " and ".join(filter(None, parts))


class ContainerArguments(Selection):
    """`name`, or `where` with the labels of containers, or `image`, which may have `*`."""

    Returns: ClassVar[type[Returned]] = ContainerReturned
    timeout: PositiveDuration = 10.0


class ContainerFaultArguments(Selection):
    """Which containers, and one kind of fault.

    `pick` limits how many of the containers that `where` and `image` find have the fault: a number, or a
    percentage. The same `seed` picks the same ones. `service` is the registered service that the containers
    are: the run holds it, and needs an approval if it is protected.
    """

    CHANGES: ClassVar[tuple[str, ...]] = ("pause", "kill", "stop", "disconnect", "limits")
    NETWORK: ClassVar[tuple[str, ...]] = ("blackhole", "reset", "loss", "latency", "bandwidth", "dns")
    KINDS: ClassVar[tuple[str, ...]] = ("pause", "kill", "restart", "stop", "disconnect", "limits", *NETWORK)

    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    pick: Pick = Field(ABSENT)
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = 0
    allow_all: bool = False
    grace: Duration = 10.0
    pause: Literal[True] = Field(ABSENT)
    kill: Literal[True] = Field(ABSENT)
    restart: Literal[True] = Field(ABSENT)
    stop: Literal[True] = Field(ABSENT)
    disconnect: Annotated[str, Field(min_length=1, max_length=255)] = Field(ABSENT)
    limits: Limits = Field(ABSENT)
    blackhole: AllTraffic = Field(ABSENT)
    reset: Traffic = Field(ABSENT)
    loss: LossyTraffic = Field(ABSENT)
    latency: SlowTraffic = Field(ABSENT)
    bandwidth: NarrowTraffic = Field(ABSENT)
    dns: NameLookups = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from super().relations(values)
        for word, value in values.items():
            # Else nobody could know before the run what it holds, and whether that is protected.
            if find_secrets(value) or mentions_saved(value):
                what = "a secret" if find_secrets(value) else "a saved value"
                yield word, f"{word!r} has {what}, so nobody could know what the run touches: use a variable"
        for word in ("pick", "allow_all"):
            if word in values and "name" in values:
                yield word, f"{word!r} needs 'where' or 'image': 'name' is one container"
        kinds = [kind for kind in cls.KINDS if kind in values]
        if not kinds:
            yield "", f"the fault has no kind: give one of {', '.join(map(repr, cls.KINDS))}"
        for extra in kinds[1:]:
            yield extra, f"{extra!r} and {kinds[0]!r} cannot be combined: write a fault for each"
        if "grace" in values and kinds and kinds[0] not in {"stop", "restart"}:
            yield (
                "grace",
                "'grace' is the time that a container has to stop: only 'stop' and 'restart' have it",
            )

    @property
    def kind(self) -> str:
        return next(kind for kind in self.KINDS if getattr(self, kind) is not None)

    @property
    def breaks_network(self) -> bool:
        return self.kind in self.NETWORK

    def to_words(self) -> dict[str, Any]:
        """What the change, or the host program, needs to know: seconds, bytes and shares as numbers."""
        if self.kind in {"stop", "restart"}:
            return {"grace": min(MAX_GRACE, math.ceil(self.grace))}
        if self.kind == "disconnect":
            return {"network": self.disconnect}
        found = getattr(self, self.kind)
        words = {} if found is True else dict(found.model_dump(by_alias=True, exclude_unset=True))
        if self.kind == "loss":
            words["seed"] = self.seed
        return words


def find_kind(arguments: Mapping[str, Any]) -> str:
    """The kind of a fault with these arguments, as JSON values."""
    return next((kind for kind in ContainerFaultArguments.KINDS if kind in arguments), "")
