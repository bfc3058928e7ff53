"""The faults of a suite: each is a scenario of the catalogue, and says what a dependency needs for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Need = Literal["proxy", "host", "port", "unit", "folder", "load"]
KINDS = ("http", "grpc", "postgresql", "redis", "tcp")
ANY_KIND = "any"


@dataclass(frozen=True, slots=True)
class SuiteFault:
    """`scenarios`: the scenario for each kind of dependency, or for ANY_KIND. `needs`: by scenario."""

    name: str
    title: str
    scenarios: Mapping[str, str]

    def find_scenario(self, kind: str) -> str:
        """The name of the scenario for a dependency of this kind; "" if no scenario fits."""
        return self.scenarios.get(kind) or self.scenarios.get(ANY_KIND, "")


# What a dependency must have for a scenario; scenarios that are not listed need nothing.
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "dependency-slow": ("proxy",),
    "dependency-slower-than-timeout": ("proxy",),
    "dependency-refuses-connections": ("proxy",),
    "dependency-hangs": ("proxy",),
    "dependency-resets-connections": ("proxy",),
    "dependency-trickles": ("proxy",),
    "dependency-fails-some-requests": ("proxy",),
    "dependency-resets-some-connections": ("proxy",),
    "process-paused": ("host", "port"),
    "process-killed": ("host", "port"),
    "cpu-busy": ("host",),
    "disk-full": ("host", "folder"),
    "unit-restarted": ("host", "unit"),
}
FAULTS: tuple[SuiteFault, ...] = (
    SuiteFault("slow", "slow", {ANY_KIND: "dependency-slow"}),
    SuiteFault(
        "slower-than-timeout", "slow beyond the timeout", {ANY_KIND: "dependency-slower-than-timeout"}
    ),
    SuiteFault("refused", "refused", {ANY_KIND: "dependency-refuses-connections"}),
    SuiteFault("hanging", "hanging", {ANY_KIND: "dependency-hangs"}),
    SuiteFault("resetting", "resetting", {ANY_KIND: "dependency-resets-connections"}),
    SuiteFault("trickling", "trickling", {ANY_KIND: "dependency-trickles"}),
    SuiteFault(
        "fifth-failing",
        "one in five failing",
        {"http": "dependency-fails-some-requests", ANY_KIND: "dependency-resets-some-connections"},
    ),
    SuiteFault("locked", "locked", {"postgresql": "postgresql-table-locked"}),
    SuiteFault("paused", "paused", {"redis": "redis-paused", ANY_KIND: "process-paused"}),
    SuiteFault("process-killed", "process killed", {ANY_KIND: "process-killed"}),
    SuiteFault("cpu", "CPU busy", {ANY_KIND: "cpu-busy"}),
    SuiteFault("disk-full", "disk full", {ANY_KIND: "disk-full"}),
    SuiteFault("restart", "restart", {ANY_KIND: "unit-restarted"}),
    SuiteFault("recovery-under-load", "recovery under load", {ANY_KIND: "dependency-refuses-connections"}),
)
FAULT_BY_NAME: Mapping[str, SuiteFault] = {fault.name: fault for fault in FAULTS}
UNDER_LOAD = "recovery-under-load"


def list_scenarios() -> list[str]:
    """The names of all scenarios that suites use."""
    return sorted({name for fault in FAULTS for name in fault.scenarios.values()})


def list_needs(fault: SuiteFault, kind: str) -> tuple[Need, ...]:
    needs = NEEDS.get(fault.find_scenario(kind), ())
    return (*needs, "load") if fault.name == UNDER_LOAD else needs
