"""What a fault changes of containers by the API of their engine, and how that is undone.

Each function asks the engine how the container is now, so it may be called again, by another process, and
after the container has been removed or replaced: what has another id is never touched.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Mapping, Sequence

from injector.host.arguments import Json, Refusal
from injector.host.container_requests import (
    NOT_FOUND,
    ContainerPlace,
    inspect,
    require_running,
    require_success,
    send,
)
from injector.host.engine import ENGINE_SECONDS, Engine, quote_part

CONFLICT = 409
# The limits that a fault lowers, by what `docker inspect` calls them.
LIMITS = ("NanoCpus", "CpuPeriod", "CpuQuota", "Memory", "MemorySwap")
CPU_PERIOD = 100_000
NO_LIMIT = -1
# The largest that the kernel has, in whole pages: Docker takes -1 for too little memory, or no change.
ALL_MEMORY = 2**63 - 4096


class Change:
    """One kind of change. `words` are the arguments of the fault."""

    # Whether an end before its time means that the fault was lost.
    lasts = True

    def check(self, place: Json, state: Json, words: Mapping[str, Any]) -> None:
        """Refuse a container in which the change is impossible; note in `place` what the undo needs."""
        require_running(place, state)

    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        """Whether the container, which exists, has the change."""
        raise NotImplementedError

    def undo(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        raise NotImplementedError


class PauseContainer(Change):
    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        send(engine, place, "pause")

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        return bool(state["State"].get("Paused")) or state["State"].get("Status") == "paused"

    def undo(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        send(engine, place, "unpause", fine=(NOT_FOUND, CONFLICT))


class StopContainer(Change):
    def check(self, place: Json, state: Json, words: Mapping[str, Any]) -> None:
        super().check(place, state, words)
        if state.get("HostConfig", {}).get("AutoRemove"):
            raise Refusal(
                f"container {place['name']!r} was started with '--rm': it would be removed as soon as it "
                "ends, and could not be started again"
            )

    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        grace = int(words.get("grace", 10))
        send(engine, place, f"stop?t={grace}", seconds=grace + ENGINE_SECONDS)

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        return not state["State"].get("Running")

    def undo(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        send(engine, place, "start", fine=(NOT_FOUND,), seconds=2 * ENGINE_SECONDS)


class KillContainer(StopContainer):
    """A container that is started again during the fault is no lost fault: that is what the scenario asks."""

    lasts = False

    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        send(engine, place, "kill?signal=KILL")

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        return not state["State"].get("Running") and not state["State"].get("Restarting")


class DisconnectContainer(Change):
    def check(self, place: Json, state: Json, words: Mapping[str, Any]) -> None:
        super().check(place, state, words)
        networks = state.get("NetworkSettings", {}).get("Networks") or {}
        name = words["network"]
        if name not in networks or name in {"host", "none"}:
            known = ", ".join(map(repr, sorted(set(networks) - {"host", "none"}))) or "none that can be left"
            raise Refusal(
                f"container {place['name']!r} is not in the network {name!r}; its networks: {known}"
            )
        found = networks[name] or {}
        own = place["id"][:12]
        kept = {word: found[word] for word in ("IPAMConfig", "Links", "DriverOpts") if found.get(word)}
        if aliases := [alias for alias in found.get("Aliases") or [] if alias != own]:
            kept["Aliases"] = aliases
        place["endpoint"] = kept

    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        self._send(engine, place, words, "disconnect", {"Container": place["id"], "Force": False})

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        return words["network"] not in (state.get("NetworkSettings", {}).get("Networks") or {})

    def undo(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        body = {"Container": place["id"], "EndpointConfig": place.get("endpoint", {})}
        self._send(engine, place, words, "connect", body)

    def _send(
        self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any], verb: str, body: Json
    ) -> None:
        answer = engine.ask("POST", f"/networks/{quote_part(words['network'])}/{verb}", body)
        require_success(engine, place, answer)


class LimitContainer(Change):
    def check(self, place: Json, state: Json, words: Mapping[str, Any]) -> None:
        super().check(place, state, words)
        former = {word: state.get("HostConfig", {}).get(word) or 0 for word in LIMITS}
        place["former"] = former
        place["limits"] = build_limits(former, words)
        for what, lowered, had in (
            ("memory", words.get("memory"), former["Memory"]),
            ("cpus", words.get("cpus"), count_cpus(former)),
        ):
            if lowered is not None and 0 < had <= lowered:
                raise Refusal(
                    f"{what}={lowered:g} is not lower than what container {place['name']!r} may use: {had:g}"
                )

    def apply(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        send(engine, place, "update", place["limits"])

    def is_there(self, state: Json, place: ContainerPlace, words: Mapping[str, Any]) -> bool:
        now = state.get("HostConfig", {})
        # A period alone limits nothing.
        limits = {word: value for word, value in place["limits"].items() if word != "CpuPeriod"}
        return any(now.get(word) == value != place["former"][word] for word, value in limits.items())

    def undo(self, engine: Engine, place: ContainerPlace, words: Mapping[str, Any]) -> None:
        # The engine takes 0 for "as it is".
        former: Json = {}
        for word in place["limits"].keys() - {"CpuPeriod"}:
            none = ALL_MEMORY if word in {"Memory", "MemorySwap"} else NO_LIMIT
            former[word] = place["former"][word] if place["former"][word] > 0 else none
        if "CpuPeriod" in place["limits"]:
            former["CpuPeriod"] = place["former"]["CpuPeriod"] or CPU_PERIOD
        send(engine, place, "update", former, fine=(NOT_FOUND,))


CHANGES: dict[str, Change] = {
    "pause": PauseContainer(),
    "kill": KillContainer(),
    "stop": StopContainer(),
    "disconnect": DisconnectContainer(),
    "limits": LimitContainer(),
}


def build_limits(former: Mapping[str, int], words: Mapping[str, Any]) -> Json:
    """The body of an update. The engine refuses a quota beside NanoCpus, and memory above the swap."""
    limits: Json = {}
    if (cpus := words.get("cpus")) is not None:
        if former["NanoCpus"]:
            limits["NanoCpus"] = round(cpus * 1e9)
        else:
            limits["CpuPeriod"] = former["CpuPeriod"] or CPU_PERIOD
            limits["CpuQuota"] = max(1000, round(cpus * limits["CpuPeriod"]))
    if (memory := words.get("memory")) is not None:
        limits["Memory"] = memory
        limits["MemorySwap"] = memory
    return limits


def count_cpus(former: Mapping[str, int]) -> float:
    """How many CPUs the container may use; 0 for all."""
    if former["NanoCpus"]:
        return former["NanoCpus"] / 1e9
    if former["CpuQuota"] > 0:
        return former["CpuQuota"] / (former["CpuPeriod"] or CPU_PERIOD)
    return 0.0


def apply_change(
    engine: Engine, name: str, places: Sequence[ContainerPlace], words: Mapping[str, Any]
) -> None:
    """Change each of the containers that has not changed yet.

    Raises:
        Refusal: one of them has not been changed; some others may have been.
    """
    change = CHANGES[name]

    def apply(place: ContainerPlace) -> None:
        state = inspect(engine, place["id"])
        if state is None:
            raise Refusal(f"container {place['name']!r} is gone", "not_done")
        if not change.is_there(state, place, words):
            change.apply(engine, place, words)

    run_each(places, apply)


def find_changed(
    engine: Engine, name: str, places: Sequence[ContainerPlace], words: Mapping[str, Any]
) -> list[str]:
    """The names of the containers that have the change."""
    found: list[str] = []

    def look(place: ContainerPlace) -> None:
        state = inspect(engine, place["id"])
        if state is not None and CHANGES[name].is_there(state, place, words):
            found.append(place["name"])

    run_each(places, look)
    return sorted(found)


def undo_change(
    engine: Engine, name: str, places: Sequence[ContainerPlace], words: Mapping[str, Any]
) -> list[str]:
    """Undo it where it is; the names of these containers.

    Raises:
        Refusal: it may still be there.
    """
    found: list[str] = []

    def undo(place: ContainerPlace) -> None:
        state = inspect(engine, place["id"])
        if state is not None and CHANGES[name].is_there(state, place, words):
            CHANGES[name].undo(engine, place, words)
            found.append(place["name"])

    run_each(places, undo)
    return sorted(found)


def run_each(places: Sequence[ContainerPlace], function: Callable[[ContainerPlace], None]) -> None:
    """Call the function for all of them side by side: one that hangs must not keep the others.

    Raises:
        Refusal: of one of them, after all have ended.
    """
    failures: list[Refusal] = []

    def run(place: ContainerPlace) -> None:
        try:
            function(place)
        except Refusal as refusal:
            failures.append(refusal)
        except Exception as error:  # noqa: BLE001 - what an engine answers may have any shape
            failures.append(
                Refusal(f"container {place.get('name')!r}: {type(error).__name__}: {error}", "failed")
            )

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        worst = next((failure for failure in failures if failure.code == "failed"), failures[0])
        raise Refusal("; ".join(dict.fromkeys(failure.reason for failure in failures)), worst.code)
