"""Faults that slow the connections to a place."""

from __future__ import annotations

from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, get_number, get_port, get_text
from injector.host.kind import Call
from injector.host.places import check_redirects
from injector.host.relay import Relay
from injector.host.rules import MARK, Rules, clean_table, find_table, name_chain, run_nft
from injector.host.store import Store


class Redirect(Rules):
    """New TCP connections to a place lead into a relay of the guardian, whose own connections have a mark."""

    is_guarded = True
    dies_with_guardian = True
    lingers = True
    hooks = {"out": "type nat hook output priority -110"}
    _relay: Relay | None = None

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        get_port(arguments, "port")
        if get_text(arguments, "to") == "any":
            raise Refusal("to='any' is not possible here; name the address")
        target = super().check(arguments, call)
        check_redirects(target, call.store.active("latency", "bandwidth"))
        return target

    def prepare_guardian(self) -> None:
        import asyncio  # noqa: F401, PLC0415 - it takes longer than all other imports together

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"

    def build_verdict(self, target: Json, end: Json) -> str:
        return f"meta mark != {MARK:#x} counter redirect to :{end.get('relay', 1)}"

    def apply(self, record: Record, store: Store) -> Json:
        self._relay = Relay(record["target"])
        self._relay.start()
        ends = [{**end, "relay": self._relay.port} for end in record["target"]["ends"]]
        super().apply({**record, "target": {**record["target"], "ends": ends}}, store)
        return {"mechanism": "nftables and a relay", "relay": self._relay.port}

    def undo(self, record: Record, store: Store, held: Json) -> None:
        if self._relay is None:
            super().undo(record, store, held)
            return
        self._relay.stop()
        # Without a chain of NAT, the kernel would not translate packets of established connections either.
        table = find_table(record["target"])
        for end in record["target"]["ends"]:
            run_nft(f"flush set {table} {name_chain(record['id'], end)}\n")

    def linger(self, record: Record, store: Store) -> None:
        if self._relay is not None:
            self._relay.wait()
        with store.lock():
            clean_table(store, record)


class Latency(Redirect):
    words = ("to", "port", "delay", "jitter")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        super().prepare(arguments, target)
        target["delay"] = get_number(arguments, "delay", 0.001, 3600.0)
        target["jitter"] = get_number(arguments, "jitter", 0.0, target["delay"], 0.0)


class Bandwidth(Redirect):
    words = ("to", "port", "rate")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        super().prepare(arguments, target)
        target["rate"] = get_number(arguments, "rate", 1, 1 << 40)
