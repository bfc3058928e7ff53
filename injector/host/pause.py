"""Faults that stop processes, or kill them."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any, Mapping

from injector.host.arguments import Json, Process, Record, Refusal
from injector.host.kind import Call, Kind, Once, find_way
from injector.host.processes import (
    find_processes,
    is_running,
    is_stopped,
    send_signal,
    wait_until_stopped,
)
from injector.host.programs import read_text, write_text
from injector.host.store import Store
from injector.host.units import can_start_units, find_deadly_unit, find_unit, is_in_container_of_host


class Pause(Kind):
    """SIGSTOP, or the freezer of the unit's control group."""

    is_guarded = True
    outlives_guardian = True
    words = ("unit", "pidfile", "port")

    def explain(self, call: Call) -> str:
        if can_start_units():
            return ""
        unit = find_deadly_unit()
        if unit:
            return (
                f"the guardian would be killed together with the unit {unit!r}; reach this host by ssh, "
                "or give the unit KillMode=process"
            )
        if is_in_container_of_host():
            return (
                "this container has the process ids of its host: the guardian would be killed together with "
                "the container, and the processes would stay paused; reach the host by ssh"
            )
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if find_way(arguments, "pause") == "unit":
            unit, processes, directory = find_unit(arguments, call.own)
            freezer = os.path.join(directory, "cgroup.freeze")
            if os.path.exists(freezer):
                check_freezer(unit, freezer, call.store)
                return {"unit": unit, "freezer": freezer, "processes": []}
            target: Json = {"unit": unit, "processes": processes}
        else:
            target = {"processes": find_processes(arguments, call.own)}
        paused = list_paused(call.store, "")
        for process in target["processes"]:
            if is_stopped(process) and tuple(process) not in paused:
                raise Refusal(f"process {process[0]} is stopped already, and not by this program")
        return target

    def apply(self, record: Record, store: Store) -> Json:
        del store
        target = record["target"]
        if "freezer" in target:
            write_text(target["freezer"], "1")
            return {"unit": target["unit"], "mechanism": "freezer"}
        stopped = [process[0] for process in target["processes"] if send_signal(process, signal.SIGSTOP)]
        if not stopped:
            raise Refusal("the process has just ended", "not_done")
        wait_until_stopped(target["processes"])
        return {"pids": stopped, "mechanism": "SIGSTOP"}

    def renew(self, record: Record, store: Store) -> None:
        del store
        processes = record["target"]["processes"]
        running = [process for process in processes if is_running(process)]
        if processes and (not running or not all(is_stopped(process) for process in running)):
            raise Refusal("the process has ended, or somebody has continued it", "gone")
        freezer = record["target"].get("freezer")
        if freezer and read_text(freezer) != "1":
            raise Refusal("the unit has ended, or somebody has thawed it", "gone")

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        target = record["target"]
        freezer = target.get("freezer")
        if freezer and not has_frozen(store, freezer, record["id"]):
            with contextlib.suppress(FileNotFoundError):  # the unit has ended
                write_text(freezer, "0")
        paused = list_paused(store, record["id"])
        for process in target["processes"]:
            if tuple(process) not in paused:
                send_signal(process, signal.SIGCONT)

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del held
        target = record["target"]
        if "freezer" in target:
            has_another_fault = has_frozen(store, target["freezer"], record["id"])
            return read_text(target["freezer"]) == "1" and not has_another_fault
        paused = list_paused(store, record["id"])
        mine = [process for process in target["processes"] if tuple(process) not in paused]
        return any(is_stopped(process) for process in mine)


def has_frozen(store: Store, freezer: str, but: str) -> bool:
    """Whether a fault other than `but` holds the unit."""
    return any(other["target"].get("freezer") == freezer for other in store.holding("pause", but))


def check_freezer(unit: str, freezer: str, store: Store) -> None:
    """Raises Refusal if somebody else has frozen the unit, because the undo would thaw it."""
    own = [other["target"].get("freezer") for other in store.active("pause")]
    if read_text(freezer) == "1" and freezer not in own:
        raise Refusal(f"the unit {unit!r} is frozen already, and not by this program")


def list_paused(store: Store, but: str) -> set[Process]:
    """The processes that other faults hold."""
    found = store.holding("pause", but)
    return {(pid, start) for record in found for pid, start in record["target"]["processes"]}


class Kill(Once):
    words = ("unit", "pidfile", "port")

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if find_way(arguments, "kill") == "unit":
            unit, processes, _ = find_unit(arguments, call.own)
            return {"unit": unit, "processes": processes}
        return {"processes": find_processes(arguments, call.own)}

    def apply(self, record: Record, store: Store) -> Json:
        del store
        killed = [p[0] for p in record["target"]["processes"] if send_signal(p, signal.SIGKILL)]
        if not killed:
            raise Refusal("the process has just ended", "not_done")
        return {"pids": killed, "mechanism": "SIGKILL"}
