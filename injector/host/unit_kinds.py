"""Faults that restart or stop a unit of systemd."""

from __future__ import annotations

import time
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal
from injector.host.kind import Call, Kind, Once
from injector.host.limits import END_SECONDS
from injector.host.programs import quote_end, run_program
from injector.host.store import Store, hash_id, now
from injector.host.units import call_systemctl, explain_no_systemd, find_unit, show_unit


class UnitKind(Kind):
    words = ("unit",)

    def explain(self, call: Call) -> str:
        del call
        return explain_no_systemd()

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        return {"unit": find_unit(arguments, call.own)[0]}


class Restart(UnitKind, Once):
    def apply(self, record: Record, store: Store) -> Json:
        del store
        call_systemctl("restart", "--no-block", "--", record["target"]["unit"])
        return {"unit": record["target"]["unit"], "mechanism": "systemctl restart"}


class Stop(UnitKind):
    """systemctl stop; a timer of systemd starts the unit again."""

    def apply(self, record: Record, store: Store) -> Json:
        unit = record["target"]["unit"]
        # The timer comes first, so that the unit is started again even if this process dies.
        self._set_timer(record, store)
        call_systemctl("stop", "--no-block", "--", unit)
        deadline = time.monotonic() + END_SECONDS
        while show_unit(unit).get("ActiveState") in {"active", "deactivating"}:
            if time.monotonic() > deadline:
                return {"unit": unit, "mechanism": "systemctl stop", "note": "the unit is still stopping"}
            time.sleep(0.05)
        return {"unit": unit, "mechanism": "systemctl stop"}

    def _set_timer(self, record: Record, store: Store) -> None:
        before = record.get("timer")
        name = f"test-coordinator-{hash_id(record['id'])}-{int(now() * 1000)}"
        seconds = max(0.1, record["until"] - now())
        command = ["systemd-run", "--quiet", "--collect", f"--unit={name}", f"--on-active={seconds:.3f}s"]
        command += ["--timer-property=AccuracySec=100ms", "systemctl", "start", record["target"]["unit"]]
        ended = run_program(command)
        if ended.returncode != 0:
            raise Refusal(f"systemd did not accept the timer: {quote_end(ended.stderr)}", "not_done")
        record["timer"] = f"{name}.timer"
        store.write(record["id"], record)
        if before:
            run_program(["systemctl", "stop", "--", before])

    def renew(self, record: Record, store: Store) -> None:
        if not self.is_present(record, store, {}):
            raise Refusal(f"somebody has started {record['target']['unit']!r}", "gone")
        self._set_timer(record, store)

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        unit = record["target"]["unit"]
        others = [other for other in store.holding("stop", record["id"]) if other["target"]["unit"] == unit]
        if not others:
            call_systemctl("start", "--no-block", "--", unit)
            deadline = time.monotonic() + END_SECONDS
            while show_unit(unit).get("ActiveState") == "inactive" and time.monotonic() < deadline:
                time.sleep(0.05)
        if record.get("timer"):
            run_program(["systemctl", "stop", "--", record["timer"]])

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del store, held
        states = {"inactive", "failed", "deactivating"}
        return show_unit(record["target"]["unit"]).get("ActiveState") in states
