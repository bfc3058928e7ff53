"""The calls; each does one thing with one fault."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, check_words, get_id, get_lease
from injector.host.guardian import end_guardian, start_guardian
from injector.host.kind import Call, Kind
from injector.host.kinds import APART, KINDS
from injector.host.limits import END_SECONDS
from injector.host.policy import Policy
from injector.host.processes import is_running
from injector.host.store import Store, boot_id, now
from injector.host.units import can_start_units, explain_no_systemd

MAX_KEPT = 10_000
KEPT_SECONDS = 86_400.0


class Program:
    """Answers requests."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self._store = store
        self._policy = policy
        self._began = now()

    def answer(self, request: Mapping[str, Any]) -> Json:
        """The answer to one request.

        Raises:
            Refusal: it is not carried out.
        """
        self._began = now()
        actions = {
            "inject": self._inject,
            "renew": self._renew,
            "remove": self._remove,
            "is_present": self._is_present,
            "sweep": self._answer_sweep,
            "describe": self._describe,
        }
        action = request.get("do")
        if not isinstance(action, str) or action not in actions:
            raise Refusal(f"unknown request {action!r}; choose one of {', '.join(actions)}")
        self._store.open()
        with self._store.lock():
            self._sweep()
            return actions[action](request)

    def _inject(self, request: Mapping[str, Any]) -> Json:
        fault_id, lease = get_id(request), get_lease(request)
        before = self._store.read(fault_id)
        if before is not None and before["boot"] == boot_id():
            return self._inject_again(before, lease)
        kind_name, kind, arguments = self._get_kind(request)
        self._policy.read()
        call = Call(self._store, self._policy, request)
        target = self._check(kind_name, kind, arguments, call)
        until = self._find_end(lease)
        record: Record = {
            "id": fault_id,
            "kind": kind_name,
            "arguments": dict(arguments),
            "target": target,
            "status": "active",
            "boot": boot_id(),
            "lease": lease,
            "injected_at": now(),
            "until": until,
        }
        self._store.write(fault_id, record)
        try:
            done = start_guardian(record, self._store) if kind.is_guarded else kind.apply(record, self._store)
        except BaseException:
            self._end(record, "ended")
            raise
        if not kind.is_leased:
            self._store.write(fault_id, {**record, "status": "done", "ended_at": now(), "done": done})
        return {"done": done, "target": target, "seconds_left": max(0.0, record["until"] - now())}

    def _find_end(self, lease: float) -> float:
        """When the lease ends. It begins with the call, because its sender may be gone when the call gets the
        lock.

        Raises:
            Refusal: it is over.
        """
        until = self._began + lease
        if until <= now():
            raise Refusal(f"the call waited longer than its lease of {lease:g} s", "not_done")
        return until

    def _inject_again(self, record: Record, lease: float) -> Json:
        if record["status"] == "active":
            self._prolong(record, lease)
            return {"done": {"note": "it was injected before"}, "target": record["target"]}
        if record["status"] == "done":
            return {"done": record["done"], "target": record["target"]}
        raise Refusal(
            f"the fault {record['id']!r} has been removed, or has ended: it is not injected again", "not_done"
        )

    def _check(self, name: str, kind: Kind, arguments: Mapping[str, Any], call: Call) -> Json:
        self._policy.check(name, arguments)
        check_words(arguments, name, kind.words)
        if not kind.is_checked_by_kernel and (reason := kind.explain(call)):
            raise Refusal(f"{name!r} cannot be injected here: {reason}")
        try:
            return kind.check(arguments, call)
        except Refusal:
            if reason := kind.explain(call):
                raise Refusal(f"{name!r} cannot be injected here: {reason}") from None
            raise

    def _renew(self, request: Mapping[str, Any]) -> Json:
        fault_id, lease = get_id(request), get_lease(request)
        record = self._store.read(fault_id)
        if record is None or record["status"] in {"removed", "ended"}:
            raise Refusal(f"this host does not have the fault {fault_id!r}", "gone")
        if record["status"] == "active":
            self._prolong(record, lease)
        return {"seconds_left": max(0.0, self._began + lease - now())}

    def _prolong(self, record: Record, lease: float) -> None:
        kind = KINDS[record["kind"]]
        held = self._store.read_guardian(record["id"])
        if kind.is_guarded and not self._has_guardian(record, held):
            self._end(record, "ended")
            raise Refusal("its guardian has been killed", "gone")
        record["until"] = self._find_end(lease)
        try:
            kind.renew(record, self._store)
        except Refusal as refusal:
            if refusal.code == "gone":
                self._end(record, "ended")
            raise
        self._store.write(record["id"], record)
        if "is_ending" in self._store.read_guardian(record["id"]):  # it did not wait for this call
            self._end(record, "ended")
            raise Refusal("the lease was over before the renewal", "gone")

    def _has_guardian(self, record: Record, held: Json) -> bool:
        deadline = time.monotonic() + END_SECONDS
        while not is_running(held.get("guardian", (0, 0))):
            # Systemd needs a moment to start it again.
            if time.monotonic() > deadline or not can_start_units():
                return False
            time.sleep(0.05)
            held = self._store.read_guardian(record["id"])
        return True

    def _remove(self, request: Mapping[str, Any]) -> Json:
        fault_id = get_id(request)
        record = self._store.read(fault_id)
        if record is None or record["boot"] != boot_id():
            unknown = {"id": fault_id, "status": "removed", "boot": boot_id(), "ended_at": now()}
            with contextlib.suppress(Refusal):  # a full disk: then a late injection ends with its lease
                self._store.write(fault_id, unknown)
            return {"was_there": False}
        if record["status"] == "done":
            return {"was_there": False, "note": f"{record['kind']!r} has nothing to undo"}
        was_there = record["status"] == "active"
        if was_there or self._is_there(record):
            self._end(record, "removed")
        return {"was_there": was_there}

    def _end(self, record: Record, status: str) -> None:
        """End the fault, even if that cannot be recorded."""
        kind = KINDS[record["kind"]]
        self._store.end(record, status)
        if kind.is_guarded:
            end_guardian(record, self._store)
        else:
            kind.undo(record, self._store, {})

    def _is_present(self, request: Mapping[str, Any]) -> Json:
        record = self._store.read(get_id(request))
        is_known = record is not None and "kind" in record and record["boot"] == boot_id()
        return {"present": bool(record is not None and is_known and self._is_there(record))}

    def _is_there(self, record: Record) -> bool:
        if "kind" not in record:
            return False
        held = self._store.read_guardian(record["id"])
        return KINDS[record["kind"]].is_present(record, self._store, held)

    def _sweep(self) -> list[str]:
        """End what should have ended, and forget what ended long ago."""
        swept = []
        records = self._store.records()
        for record in records:
            is_over = record.get("until", 0.0) <= now() or record["boot"] != boot_id()
            if record["status"] == "active" and is_over:
                if record["boot"] == boot_id():
                    with contextlib.suppress(Refusal):  # one that fails must not delay the others
                        self._end(record, "ended")
                        swept.append(record["id"])
                else:
                    self._store.forget(record["id"])
        ended = sorted((r for r in records if "ended_at" in r), key=lambda record: record["ended_at"])
        for place, record in enumerate(ended):
            age = now() - record["ended_at"]
            if not 0 <= age < KEPT_SECONDS or place < len(ended) - MAX_KEPT:
                self._store.forget(record["id"])
                self._store.forget(record["id"], "guardian")
        return swept

    def _answer_sweep(self, request: Mapping[str, Any]) -> Json:
        del request
        active = [r["id"] for r in self._store.records() if r["status"] == "active"]
        return {"active": sorted(active)}

    def _describe(self, request: Mapping[str, Any]) -> Json:
        """Which kinds can be injected here: '', or the reason why not; for one kind, also its target."""
        self._policy.read()
        call = Call(self._store, self._policy, request)
        asked = {name: kind for name, kind in KINDS.items() if name not in APART}
        if "kind" in request:
            asked = {request["kind"]: self._get_kind(request)[1]}
        reasons = {
            name: self._policy.explain_kind(name) or kind.explain(call) for name, kind in asked.items()
        }
        found: Json = {
            "kinds": reasons,
            "host": os.uname().nodename,
            "kernel": os.uname().release,
            "python": ".".join(map(str, sys.version_info[:3])),
            "systemd": not explain_no_systemd(),
            "active": len([r for r in self._store.records() if r["status"] == "active"]),
        }
        if "kind" in request:
            name, kind, arguments = self._get_kind(request)
            found["target"] = self._check(name, kind, arguments, call)
        return found

    def _get_kind(self, request: Mapping[str, Any]) -> tuple[str, Kind, Mapping[str, Any]]:
        name, arguments = request.get("kind"), request.get("arguments", {})
        if not isinstance(name, str) or name not in KINDS:
            raise Refusal(f"unknown kind {name!r}; choose one of {', '.join(KINDS)}")
        if not isinstance(arguments, dict):
            raise Refusal(f"arguments={arguments!r} must be an object")
        return name, KINDS[name], arguments
