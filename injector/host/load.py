"""Faults that use up the CPU, memory or the disk's time, by stress-ng."""

from __future__ import annotations

import contextlib
import math
import os
import re
import subprocess
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, get_directory, get_number, get_whole
from injector.host.kind import Call, Kind
from injector.host.processes import end_group, identify, is_running
from injector.host.programs import SYSTEM_PATH, look_for_program
from injector.host.store import Store, now


class Load(Kind):
    """stress-ng with its own timeout. The guardian starts it again while the fault is renewed."""

    is_guarded = True

    def explain(self, call: Call) -> str:
        del call
        if not look_for_program("stress-ng"):
            return "'stress-ng' is not installed on this host"
        return ""

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        raise NotImplementedError

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if reason := self.explain(call):
            raise Refusal(reason)
        return {"options": self.build_options(arguments), "program": look_for_program("stress-ng")}

    def apply(self, record: Record, store: Store) -> Json:
        del store
        left = record["until"] - now()
        if left <= 0:
            raise Refusal("the lease was over before the load began", "not_done")
        command = [record["target"]["program"], *record["target"]["options"]]
        command += ["--quiet", "--timeout", f"{max(1, math.ceil(left))}s"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": SYSTEM_PATH},
            start_new_session=True,
        )
        return {"child": identify(child.pid), "mechanism": "stress-ng"}

    def keep(self, record: Record, held: Json) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(held["child"][0], os.WNOHANG)
        if not is_running(held["child"]):
            held.update(self.apply(record, Store("")))

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del store
        end_group(held.get("child"))

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del record, store
        return "child" in held and is_running(held["child"])


class Cpu(Load):
    words = ("load", "cores")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        cores = get_whole(arguments, "cores", 1, 4096, os.cpu_count() or 1)
        share = get_number(arguments, "load", 0.01, 1.0, 1.0)
        return ["--cpu", str(cores), "--cpu-load", str(round(share * 100))]


class Memory(Load):
    words = ("size", "share")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        figures = read_memory()
        if "size" in arguments:
            size = get_whole(arguments, "size", 1 << 20, 1 << 50)
        else:
            share = get_number(arguments, "share", 0.01, 0.98)
            size = int(share * figures["MemTotal"]) - (figures["MemTotal"] - figures["MemAvailable"])
        if size < 1 << 20:
            raise Refusal("so much memory is used already")
        if size > figures["MemAvailable"] * 0.98:
            raise Refusal(f"{size} bytes are more than is free: {figures['MemAvailable']}")
        return ["--vm", "1", "--vm-bytes", str(size), "--vm-keep", "--vm-hang", "0"]


def read_memory() -> dict[str, int]:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.findall(r"^(MemTotal|MemAvailable): +([0-9]+) kB$", file.read(), re.MULTILINE)
    return {name: int(figure) * 1024 for name, figure in found}


class Io(Load):
    """Workers that write files, and wait until they are on the disk."""

    words = ("workers", "path")

    def build_options(self, arguments: Mapping[str, Any]) -> list[str]:
        workers = get_whole(arguments, "workers", 1, 64, 1)
        path = get_directory(arguments, "/var/tmp")  # noqa: S108 - stress-ng makes a directory of its own there
        return ["--hdd", str(workers), "--hdd-bytes", "16m", "--hdd-opts", "fsync", "--temp-path", path]
