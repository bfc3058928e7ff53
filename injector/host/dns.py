"""The fault of host names."""

from __future__ import annotations

import contextlib
import re
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, get_number, get_text, parse_address
from injector.host.flows import DNS_PORT, forget_flows
from injector.host.kind import Call
from injector.host.places import check_redirects
from injector.host.programs import quote_end, read_text
from injector.host.resolver import Resolver
from injector.host.rules import MARK, Rules, run_nft
from injector.host.store import Store

MAX_NAME_SERVERS = 6


class Dns(Rules):
    """Queries over UDP to the name servers of this host lead to a resolver in the guardian."""

    is_guarded = True
    dies_with_guardian = True
    words = ("names", "answer", "delay")
    hooks = {"out": "type nat hook output priority -110"}

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        names = arguments.get("names", ["*"])
        if not isinstance(names, list) or not all(isinstance(pattern, str) and pattern for pattern in names):
            raise Refusal(
                f"names={names!r} must be a list of names, such as 'db.example.com' or '*.example.com'"
            )
        answer = arguments.get("answer", "")
        if answer not in {"", "servfail", "nxdomain"}:
            answer = str(parse_address(get_text(arguments, "answer")))
        delay = get_number(arguments, "delay", 0.0, 60.0, 0.0)
        if not answer and not delay:
            raise Refusal("the fault has no effect: give 'answer' or 'delay'")
        servers = find_name_servers(call.root)
        if not servers:
            raise Refusal("this host has no name server")
        ends = [
            {"direction": "out", "address": server, "port": DNS_PORT, "number": number}
            for number, server in enumerate(servers)
        ]
        lowered = [name.lower().rstrip(".") for name in names]
        target: Json = {"table": call.store.find_table(), "ends": ends, "protocol": "udp"}
        target.update(names=lowered, answer=answer, delay=delay)
        check_redirects(target, call.store.active("dns"))
        ended = run_nft(self.build_script(target, "check", 1.0), "--check")
        if ended.returncode != 0:
            raise Refusal(f"this kernel does not accept the rule: {quote_end(ended.stderr)}")
        return target

    def build_verdict(self, target: Json, end: Json) -> str:
        return f"meta mark != {MARK:#x} counter redirect to :{end.get('relay', 1)}"

    def apply(self, record: Record, store: Store) -> Json:
        ports = Resolver(record["target"]).start()
        ends = [{**end, "relay": port} for end, port in zip(record["target"]["ends"], ports)]  # noqa: B905 - Python 3.8
        super().apply({**record, "target": {**record["target"], "ends": ends}}, store)
        servers = [end["address"] for end in ends]
        forget_flows(servers, is_redirected=False)  # a client that keeps its socket is redirected, too
        return {"mechanism": "nftables and a resolver", "servers": servers}

    def undo(self, record: Record, store: Store, held: Json) -> None:
        super().undo(record, store, held)
        forget_flows([end["address"] for end in record["target"]["ends"]], is_redirected=True)


def find_name_servers(root: str = "") -> list[str]:
    """The name servers of programs, and those of systemd-resolved, which some programs ask in other ways."""
    found = []
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        for word in re.findall(r"^nameserver[ \t]+(\S+)", read_text(root + path), re.MULTILINE):
            with contextlib.suppress(Refusal):
                found.append(str(parse_address(word)))
    return list(dict.fromkeys(found))[:MAX_NAME_SERVERS]
