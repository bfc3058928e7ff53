"""The guardian: a process that ends one fault, whatever happens to all other processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import Iterator

from injector.host.arguments import Json, Record, Refusal
from injector.host.kind import Kind
from injector.host.kinds import KINDS
from injector.host.limits import END_SECONDS, START_SECONDS, TICK_SECONDS
from injector.host.processes import GUARDIAN_NAME, identify, is_running, send_signal, wait_for_end
from injector.host.programs import quote_end, run_program, write_text
from injector.host.store import Store, boot_id, hash_id, now, read_source
from injector.host.units import can_start_units

# How long a guardian waits for the lock when its lease is over.
GUARDIAN_LOCK_SECONDS = 0.25


def start_guardian(record: Record, store: Store) -> Json:
    """Start the guardian, and wait until it has injected the fault. Returns what it did.

    Raises:
        Refusal: it has not injected the fault.
    """
    store.forget(record["id"], "guardian")
    if can_start_units():
        start_unit(record, store)
    else:
        read_source()  # a program that only imports these modules, such as a test, must not become a guardian
        fork_guardian(record, store)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        held = store.read_guardian(record["id"])
        if "error" in held:
            raise Refusal(str(held["error"]), "not_done")
        if "done" in held:
            return dict(held["done"])
        time.sleep(0.01)
    end_guardian(record, store)
    raise Refusal(f"the guardian did not begin within {START_SECONDS:g} s", "not_done")


def start_unit(record: Record, store: Store) -> None:
    """Start it as its own unit, which does not end with the caller's unit, and which systemd restarts."""
    command = [sys.executable, "-IS", store.install_program(), "--state", store.directory]
    unit = f"--unit=test-coordinator-guardian-{hash_id(record['id'])}-{int(now() * 1000)}"
    # By default, systemd gives up after it was killed five times.
    properties = ["Restart=on-failure", "RestartSec=100ms", "StartLimitIntervalSec=0"]
    properties.append("OOMScoreAdjust=-900")
    options = [word for value in properties for word in ("--property", value)]
    words = ["systemd-run", "--quiet", "--collect", unit, *options, "--", *command, "guard", record["id"]]
    ended = run_program(words)
    if ended.returncode != 0:
        raise Refusal(f"systemd does not start the guardian: {quote_end(ended.stderr)}", "not_done")


def fork_guardian(record: Record, store: Store) -> None:
    """Fork this process into its own session, so that Python need not be started again."""
    if os.fork():
        return
    try:
        os.setsid()
        os.chdir("/")
        empty = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(empty, descriptor)
        # Among them are the lock of this call and the output that its caller waits for.
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:  # noqa: PLR2004 - standard error
                with contextlib.suppress(OSError):
                    os.close(int(name))
        write_text("/proc/self/comm", GUARDIAN_NAME)
        Guardian(store, record["id"]).run()
    finally:
        os._exit(0)


def end_guardian(record: Record, store: Store) -> None:
    """End the fault and its guardian. Call it with the lock, and after the record says that it has ended."""
    held = store.read_guardian(record["id"])
    guardian = held.get("guardian")
    if guardian and is_running(guardian):
        send_signal(guardian, signal.SIGTERM)
        if wait_for_end(guardian, END_SECONDS, lambda: "over" in store.read_guardian(record["id"])):
            if is_running(guardian):
                return  # connections still go through its relay
        else:
            send_signal(guardian, signal.SIGKILL)
            wait_for_end(guardian, END_SECONDS)
    # The guardian has done this itself, unless it was killed.
    KINDS[record["kind"]].undo(record, store, held)


class Guardian:
    """Injects one fault, and ends it when its lease is over, when it is removed, or when told to stop."""

    def __init__(self, store: Store, fault_id: str) -> None:
        self._store = store
        self._id = fault_id
        self._is_stopped = False
        self._wake = os.pipe()

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        before = self._store.read_guardian(self._id)
        held = {**before, "guardian": identify(os.getpid())}
        # Before the record is read: a removal does these two in the opposite order.
        self._store.write(self._id, held, "guardian")
        record = self._store.read(self._id)
        if record is None or record["status"] != "active" or record["boot"] != boot_id():
            return
        protect_from_oom()
        kind = KINDS[record["kind"]]
        if kind.outlives_guardian and not can_start_units():
            self._start_second(kind, record, held)
        try:
            if "done" not in before or kind.dies_with_guardian:
                held["done"] = kind.apply(record, self._store)
                held.update(held["done"])
                self._store.write(self._id, held, "guardian")
            self._wait(kind, record, held)
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault must end
            held["error"] = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        finally:
            self._end(kind, record, held)

    def _start_second(self, kind: Kind, record: Record, held: Json) -> None:
        """Start a process that ends the fault if this one is killed: here, nothing starts it again."""
        end, kept = os.pipe()
        if os.fork():
            os.close(end)  # the kernel closes the other end with this process
            return
        try:
            os.setsid()  # signals to the guardian's group are not for this process
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.close(kept)
            os.read(end, 1)
            current = self._store.read(self._id)
            if current is None or current["status"] == "active":
                self._end(kind, record, held)
        finally:
            os._exit(0)

    def _stop(self, *_: object) -> None:
        self._is_stopped = True
        os.write(self._wake[1], b"x")

    def _find_record(self) -> Record | None:
        """The fault, if it should go on."""
        record = self._store.read(self._id)
        if record is None or record["status"] != "active" or record["until"] <= now() or self._is_stopped:
            return None
        return record

    def _wait(self, kind: Kind, record: Record | None, held: Json) -> None:
        while True:
            record = self._find_record()
            if record is None:
                with self._locked():  # a renewal may be under way
                    record = self._find_record()
                    if record is None:
                        return
            child = held.get("child")
            kind.keep(record, held)
            if held.get("child") != child:
                self._store.write(self._id, held, "guardian")
            left = record["until"] - now()
            select.select([self._wake[0]], [], [], max(0.0, min(TICK_SECONDS, left)))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Try to hold the lock, but go on without it: the fault must not outlive its lease because of a lock.

        The call that stops the guardian has the lock, and waits.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(Refusal):
                stack.enter_context(self._store.lock(GUARDIAN_LOCK_SECONDS, lambda: self._is_stopped))
            yield

    def _end(self, kind: Kind, record: Record, held: Json) -> None:
        with self._locked():
            held["is_ending"] = True  # a renewal that has the lock looks at this once it is written
            if "error" not in held:
                self._write(held)
            try:
                kind.undo(record, self._store, held)
            finally:
                if "error" in held:  # only now: the fault itself may have filled the disk
                    self._write(held)
            current = self._store.read(self._id)
            if current is not None and current["status"] == "active":
                self._store.end(current, "ended")
        if kind.lingers:
            self._write({**held, "over": True})
            kind.linger(record, self._store)

    def _write(self, held: Json) -> None:
        with contextlib.suppress(Refusal):  # the disk is full
            self._store.write(self._id, held, "guardian")


def protect_from_oom() -> None:
    with contextlib.suppress(OSError):  # root alone may
        write_text("/proc/self/oom_score_adj", "-900")
