"""Faults of containers by the API of their engine: held by a guardian on this machine, or by nobody."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from injector.host.changes import CHANGES, apply_change, find_changed, undo_change
from injector.host.container_requests import send
from injector.host.engine import ENGINE_SECONDS, Engine
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.drivers import host_calls
from scenarios.drivers.container_engines import EngineAddress, call
from scenarios.drivers.host_program import find_program
from scenarios.drivers.hosts import this_host
from scenarios.ports import FaultCall

Json = dict[str, Any]


def note_place(change: str, state: Mapping[str, Any], words: Mapping[str, Any]) -> Json:
    """What the ledger keeps of the container, with the former values that the undo needs.

    Raises:
        Refusal: the change is impossible there.
    """
    place = {"id": str(state["Id"]), "name": str(state.get("Name") or state["Id"][:12]).lstrip("/")}
    if change in CHANGES:
        CHANGES[change].check(place, dict(state), words)
    return place


def build_command(kind: str, state: Path) -> list[str]:
    """What runs the host program for containers: which of them it may touch has been decided before."""
    return [sys.executable, "-IS", str(find_program()), "--state", str(state), "--allowed", kind]


def find_state_folder(*parts: str) -> Path:
    """Where the host program remembers faults of containers; the watchdog finds it there, too."""
    return Path(settings.DATA_DIR).joinpath("container-faults", this_host(), *parts)


async def inject(address: EngineAddress, fault: FaultCall) -> Mapping[str, Any]:
    """Change the containers of the fault, all of them or none.

    Raises:
        StepNotDone: none is changed.
        StepFailed: one may be.
    """
    target = fault.target
    if target["guarded"]:
        arguments = {
            "engine": address.name,
            "socket": address.socket,
            **{word: target[word] for word in ("change", "places", "words")},
        }
        request = {"do": "inject", "lease": fault.lease, "kind": "container", "arguments": arguments}
        answer = await _ask_guardian(address, {**request, "id": fault.id})
        done: Mapping[str, Any] = answer["done"]
        return done
    engine = address.open()
    if target["change"] == "restart":
        for place in target["places"]:
            await call(_restart, engine, place, target["words"])
    else:
        await _apply_or_undo(engine, target)
    return {"mechanism": "engine API", "containers": [place["name"] for place in target["places"]]}


async def renew(address: EngineAddress, fault: FaultCall) -> None:
    """Raises FaultGone if one of the containers no longer has it."""
    await _ask_guardian(address, {"do": "renew", "id": fault.id, "lease": fault.lease})


async def remove(address: EngineAddress, fault: FaultCall) -> bool:
    """Undo the change in each container; returns False if none had it."""
    target = fault.target
    was_there = False
    if target["guarded"]:
        answer = await _ask_guardian(address, {"do": "remove", "id": fault.id})
        was_there = bool(answer.get("was_there"))
    if target["change"] == "restart":
        return False
    # The guardian is gone if the machine was restarted, but limits and a stop stay.
    left = await call(undo_change, address.open(), *_unpack(target))
    return was_there or bool(left)


async def is_present(address: EngineAddress, fault: FaultCall) -> bool:
    if fault.target["change"] == "restart":
        return False
    return bool(await call(find_changed, address.open(), *_unpack(fault.target)))


async def _ask_guardian(address: EngineAddress, request: Mapping[str, Any]) -> Mapping[str, Any]:
    command = build_command("container", find_state_folder("engines", address.name))
    return await host_calls.call_program(f"engine {address.name!r}", command, request)


async def _apply_or_undo(engine: Engine, target: Mapping[str, Any]) -> None:
    try:
        await call(apply_change, engine, *_unpack(target))
    except StepImpossible:
        raise
    except StepFailed as error:
        try:
            await call(undo_change, engine, *_unpack(target))
            is_left = bool(await call(find_changed, engine, *_unpack(target)))
        except StepFailed as left:
            raise StepFailed(f"{error}; it could not be undone: {left}") from error
        if is_left or not isinstance(error, StepNotDone):
            raise StepFailed(f"{error}; it was undone") from error
        raise


def _unpack(target: Mapping[str, Any]) -> tuple[str, list[Json], Json]:
    return str(target["change"]), [dict(place) for place in target["places"]], dict(target["words"])


def _restart(engine: Engine, place: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    grace = int(words["grace"])
    send(engine, place, f"restart?t={grace}", seconds=grace + 2 * ENGINE_SECONDS)
