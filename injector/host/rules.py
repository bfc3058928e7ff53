"""Faults of the network that the kernel ends: nftables with sets whose elements expire."""

from __future__ import annotations

import json
import math
import os
import subprocess
from typing import Any, Mapping

from injector.host.arguments import (
    Json,
    Record,
    Refusal,
    get_number,
    get_port,
    get_text,
    get_whole,
    parse_address,
)
from injector.host.kind import Call, Kind
from injector.host.processes import is_running
from injector.host.programs import quote_end, run_program
from injector.host.store import TABLE, Store, hash_id, now

SO_MARK = 36  # socket(7); Python has no name for it
MARK = 0x7E57C0


class Rules(Kind):
    """nftables: a chain and a set for each fault, in a table of this program. The set's elements expire."""

    is_checked_by_kernel = True
    words: tuple[str, ...] = ("to", "from", "port", "protocol")

    def explain(self, call: Call) -> str:
        del call
        if os.geteuid() != 0:
            return "nftables need root"
        try:
            ended = run_nft(f"add table inet {TABLE}\n", "--check")
        except Refusal as refusal:
            return refusal.reason
        if ended.returncode != 0:
            return f"this kernel does not support nftables rules: {quote_end(ended.stderr)}"
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        if not {"to", "from"} & set(arguments):
            raise Refusal("name an address with 'to' or 'from'")
        port = get_port(arguments, "port") if "port" in arguments else None
        protocol = arguments.get("protocol", "")
        if protocol not in {"", "tcp", "udp"}:
            raise Refusal(f"protocol={protocol!r} must be 'tcp' or 'udp'")
        ends = []
        for word, direction in (("to", "out"), ("from", "in")):
            if word not in arguments:
                continue
            text = get_text(arguments, word)
            address = None if text == "any" else parse_address(text)
            if address is None and port is None:
                raise Refusal(f"{word}='any' needs a 'port'")
            call.lifelines.check(direction, address, port)
            ends.append({"direction": direction, "address": str(address or ""), "port": port})
        target = {"table": call.store.find_table(), "ends": ends, "protocol": protocol}
        self.prepare(arguments, target)
        script = self.build_script(target, "check", 1.0)
        ended = run_nft(script, "--check")
        if ended.returncode != 0:
            raise Refusal(f"this kernel does not accept the rule: {quote_end(ended.stderr)}")
        return target

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        """Add what this kind needs to the target."""

    def build_verdict(self, target: Json, end: Json) -> str:
        """What a rule does with the packets that it matches."""
        raise NotImplementedError

    def build_match(self, target: Json, end: Json, ports: str = "") -> str:
        """Which protocol and port a rule matches; `ports` is the set of ports, if there is one."""
        protocol = target["protocol"]
        port = ports or end["port"]
        if not port:
            return f"meta l4proto {protocol}" if protocol else ""
        if protocol:
            return f"{protocol} dport {port}"
        return f"meta l4proto {{ tcp, udp }} th dport {port}"

    hooks = {"out": "type filter hook output priority -150", "in": "type filter hook input priority -150"}

    def build_script(self, target: Json, fault_id: str, lease: float) -> str:
        table = find_table(target)
        lines = [f"add table {table}"]
        for end in target["ends"]:
            name = name_chain(fault_id, end)
            key, element = build_element(end)
            side = "daddr" if end["direction"] == "out" else "saddr"
            match = {"ipv4_addr": f"ip {side}", "ipv6_addr": f"ip6 {side}"}.get(key, "")
            which = f"{match} @{name}" if match else ""
            ports = self.build_match(target, end, "" if match else f"@{name}")
            rule = f"{which} {ports} {self.build_verdict(target, end)}"
            lines += [
                f"add chain {table} {name} {{ {self.hooks[end['direction']]}; policy accept; }}",
                f"add set {table} {name} {{ type {key}; flags timeout; }}",
                # A guardian that was killed may have left them.
                f"flush chain {table} {name}",
                f"flush set {table} {name}",
                f"add element {table} {name} {{ {element} timeout {format_timeout(lease)} }}",
                f"add rule {table} {name} {rule}",
            ]
        return "\n".join(lines) + "\n"

    def apply(self, record: Record, store: Store) -> Json:
        del store
        left = record["until"] - now()
        if left <= 0:
            raise Refusal("the lease was over before the rule was added", "not_done")
        ended = run_nft(self.build_script(record["target"], record["id"], left))
        if ended.returncode != 0:
            raise Refusal(f"nft failed: {quote_end(ended.stderr)}", "not_done")
        return {"mechanism": "nftables"}

    def renew(self, record: Record, store: Store) -> None:
        del store
        table, lines = find_table(record["target"]), []
        for end in record["target"]["ends"]:
            name, (_, element) = name_chain(record["id"], end), build_element(end)
            timeout = format_timeout(record["until"] - now())
            # Kernels before 6.12 do not extend an existing element.
            lines.append(f"delete element {table} {name} {{ {element} }}")
            lines.append(f"add element {table} {name} {{ {element} timeout {timeout} }}")
        ended = run_nft("\n".join(lines) + "\n")
        if ended.returncode != 0:
            raise Refusal(f"the rule is gone: {quote_end(ended.stderr)}", "gone")

    def undo(self, record: Record, store: Store, held: Json) -> None:
        del held
        clean_table(store, record)

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del store, held
        table, ends = find_table(record["target"]), record["target"]["ends"]
        return any(has_element(table, name_chain(record["id"], end)) for end in ends)


def run_nft(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run_program(["nft", *options, "-f", "-"], script)


def find_table(target: Json) -> str:
    """The table that has the fault's chains; earlier versions had one for all."""
    return str(target.get("table", f"inet {TABLE}"))


def clean_table(store: Store, ended: Record) -> None:
    """Delete what belongs to no fault, or belonged to `ended`, and the table if it is then empty."""
    table = find_table(ended["target"])
    listed = run_program(["nft", "--json", "list", "table", *table.split()])
    if listed.returncode != 0:
        return
    parts = [part[kind] for part in json.loads(listed.stdout)["nftables"] for kind in part if kind == "chain"]
    names = {str(part["name"]) for part in parts}
    kept = {f"f_{hash_id(record['id'])}" for record in store.records() if is_in_table(record, store, ended)}
    unused = {name for name in names if name.rpartition("_")[0] not in kept}
    if unused == names:
        run_nft(f"delete table {table}\n")
    for name in sorted(unused if unused != names else ()):
        run_nft(f"delete chain {table} {name}\ndelete set {table} {name}\n")


def is_in_table(record: Record, store: Store, ended: Record) -> bool:
    """Whether the fault needs its chain: it is injected, or connections still go through its relay."""
    if record["id"] == ended["id"] or "ends" not in record.get("target", {}):
        return False
    guardian = store.read_guardian(record["id"]).get("guardian", (0, 0))
    return record["status"] == "active" or is_running(guardian)


def name_chain(fault_id: str, end: Json) -> str:
    return f"f_{hash_id(fault_id)}_{end['direction']}{end.get('number', '')}"


def build_element(end: Json) -> tuple[str, str]:
    """The type of the set, and its only element."""
    if not end["address"]:
        return "inet_service", str(end["port"])
    return ("ipv6_addr" if ":" in end["address"] else "ipv4_addr"), end["address"]


def format_timeout(seconds: float) -> str:
    return f"{max(1, math.ceil(seconds * 1000))}ms"


def has_element(table: str, name: str) -> bool:
    """Whether the set has its element; expired elements are not listed.

    Raises:
        Refusal: nft cannot be asked.
    """
    ended = run_program(["nft", "--json", "list", "set", *table.split(), name])
    if ended.returncode != 0:
        if "No such file" in ended.stderr:
            return False
        raise Refusal(f"nft failed: {quote_end(ended.stderr)}", "failed")
    return any(part.get("set", {}).get("elem") for part in json.loads(ended.stdout)["nftables"])


class Blackhole(Rules):
    """Packets are dropped without an answer."""

    def build_verdict(self, target: Json, end: Json) -> str:
        del target, end
        return "counter drop"


class Reset(Rules):
    """TCP packets are answered with RST."""

    words = ("to", "from", "port")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"

    def build_verdict(self, target: Json, end: Json) -> str:
        del target, end
        return "counter reject with tcp reset"


class Loss(Rules):
    """Drops a share of the new connections, and drops again what the same port sends again."""

    words = ("to", "from", "port", "share", "seed")

    def prepare(self, arguments: Mapping[str, Any], target: Json) -> None:
        target["protocol"] = "tcp"
        target["share"] = get_number(arguments, "share", 0.001, 1.0)
        target["seed"] = get_whole(arguments, "seed", 0, 2**31, 0)

    def build_verdict(self, target: Json, end: Json) -> str:
        family = "ip6" if ":" in end["address"] else "ip"
        limit = round(target["share"] * 1000)
        chosen = f"jhash {family} saddr . tcp sport mod 1000 seed {target['seed']:#x} < {limit}"
        return f"tcp flags & (syn | ack) == syn {chosen if limit < 1000 else ''} counter drop"  # noqa: PLR2004
