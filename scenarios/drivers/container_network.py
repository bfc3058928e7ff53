"""Faults of the network inside containers of this machine: the host program in their network namespaces."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from injector.host.processes import identify, is_running
from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers import host_calls
from scenarios.drivers.container_changes import build_command, find_state_folder
from scenarios.ports import FaultCall

Json = dict[str, Any]
Answers = dict[str, Mapping[str, Any]]
Failures = dict[str, StepFailed]


def note_process(place: Json, state: Mapping[str, Any]) -> None:
    """Add the container's first process to what the ledger keeps: it leads to the network.

    Raises:
        StepImpossible: the network is not the container's own, or cannot be entered.
    """
    name, now = place["name"], state["State"]
    mode = str((state.get("HostConfig") or {}).get("NetworkMode") or "")
    if not now.get("Running"):
        raise StepImpossible(f"container {name!r} is {now.get('Status') or 'not running'}, not running")
    if mode == "host":
        raise StepImpossible(f"container {name!r} has the network of its host: use 'fault: {{host: …}}'")
    if mode.startswith("container:"):
        raise StepImpossible(f"container {name!r} has the network of another container: name that one")
    if os.geteuid() != 0:
        raise StepImpossible("the network of a container can be entered by root only: run the worker as root")
    pid = int(now.get("Pid") or 0)
    try:
        is_its_own = place["id"] in Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace")
        is_here = Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
        place["process"] = list(identify(pid))
    except (OSError, ValueError):
        is_its_own = is_here = False
    if not is_its_own:
        raise StepImpossible(
            f"process {pid} of container {name!r} is not visible here: the network of a container needs a "
            "worker on the engine's machine, outside containers"
        )
    if is_here:
        raise StepImpossible(f"container {name!r} has the network of its host: use 'fault: {{host: …}}'")


async def describe(fault_kind: str, places: Sequence[Json], words: Mapping[str, Any]) -> None:
    """Ask whether each container's network takes the fault.

    Raises:
        StepImpossible: one does not; StepFailed: it cannot be asked.
    """
    _, failures = await _call_all(places, fault_kind, {"do": "describe", **_build_fault(fault_kind, words)})
    _raise_first(failures)


async def inject(fault: FaultCall) -> Mapping[str, Any]:
    """Inject the fault in all of the containers, or in none; see `Host.inject`."""
    places, kind = fault.target["places"], fault.target["change"]
    request = {"do": "inject", "id": fault.id, "lease": fault.lease}
    answers, failures = await _call_all(
        places, kind, {**request, **_build_fault(kind, fault.target["words"])}
    )
    if failures:
        _, left = await _call_all(places, kind, {"do": "remove", "id": fault.id})
        sentence = "; ".join(map(str, failures.values()))
        if left:
            raise StepFailed(
                f"{sentence}; it could not be removed again: {'; '.join(map(str, left.values()))}"
            )
        is_not_done = all(isinstance(error, StepNotDone) for error in failures.values())
        raise (StepNotDone if is_not_done else StepFailed)(sentence)
    return {"containers": {name: answer.get("done") for name, answer in answers.items()}}


async def renew(fault: FaultCall) -> None:
    places, kind = fault.target["places"], fault.target["change"]
    if gone := [place["name"] for place in places if not is_running(place["process"])]:
        names = ", ".join(map(repr, gone))
        raise FaultGone(f"container {names} has ended or was restarted: its network is another one")
    _, failures = await _call_all(places, kind, {"do": "renew", "id": fault.id, "lease": fault.lease})
    lost: Failures = {name: error for name, error in failures.items() if isinstance(error, FaultGone)}
    _raise_first(lost or failures)


async def remove(fault: FaultCall) -> bool:
    places, kind = fault.target["places"], fault.target["change"]
    answers, failures = await _call_all(places, kind, {"do": "remove", "id": fault.id})
    _raise_first(failures)
    await asyncio.to_thread(_forget_ended)
    return any(answer.get("was_there") for answer in answers.values())


async def is_present(fault: FaultCall) -> bool:
    # A network ends with the last process of its container.
    places = [place for place in fault.target["places"] if is_running(place["process"])]
    answers, failures = await _call_all(places, fault.target["change"], {"do": "is_present", "id": fault.id})
    if any(answer.get("present") for answer in answers.values()):
        return True
    _raise_first(failures)
    return False


def _build_fault(kind: str, words: Mapping[str, Any]) -> Json:
    return {"kind": kind, "arguments": dict(words)}


async def _call_all(
    places: Sequence[Mapping[str, Any]], kind: str, request: Mapping[str, Any]
) -> tuple[Answers, Failures]:
    """The answers and the failures, each by the name of its container."""
    calls = (_call(place, kind, request) for place in places)
    answers: Answers = {}
    failures: Failures = {}
    for place, result in zip(places, await asyncio.gather(*calls, return_exceptions=True), strict=True):
        if isinstance(result, StepFailed):
            failures[place["name"]] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            answers[place["name"]] = result
    return answers, failures


async def _call(place: Mapping[str, Any], kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    pid = int(place["process"][0])
    command = build_command(kind, find_state_folder("networks", _name_folder(place)))
    whole = {**request, "coordinator": []}
    if is_running(place["process"]):
        command = ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command]
        whole["root"] = f"/proc/{pid}/root"
    elif request["do"] != "remove":  # this ends its guardian, wherever that is
        raise StepNotDone(f"container {place['name']!r} has ended")
    return await host_calls.call_program(f"container {place['name']!r}", command, whole)


def _name_folder(place: Mapping[str, Any]) -> str:
    """A folder for each network that a container had: it is another one after a restart."""
    pid, started = place["process"]
    return f"{place['id'][:12]}-{pid}-{started}"


def _forget_ended() -> None:
    """Delete what is remembered of networks that are gone."""
    for folder in find_state_folder("networks").glob("*-*-*"):
        _, pid, started = folder.name.split("-")
        if not is_running((int(pid), int(started))):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)


def _raise_first(failures: Failures) -> None:
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        kinds = {type(error) for error in failures.values()}
        sentence = "; ".join(map(str, failures.values()))
        raise kinds.pop()(sentence) if len(kinds) == 1 else StepFailed(sentence)
