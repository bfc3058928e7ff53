"""The flows of queries that the kernel's connection tracking remembers, by netlink."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from typing import NamedTuple, Sequence

from injector.host.limits import END_SECONDS

DNS_PORT = 53
# Of linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_HEADER, NLMSG_ERROR, NLMSG_DONE = 16, 2, 3
NLA_HEADER = 4
CT_SUBSYSTEM, CT_GET, CT_DELETE = 1, 1, 2
CTA_TUPLE_ORIG, CTA_STATUS = 1, 3
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_DST, CTA_IP_V6_DST = 2, 4
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
IPS_DST_NAT = 0x20
MAX_MESSAGE = 64 * 1024


def forget_flows(servers: Sequence[str], *, is_redirected: bool) -> None:
    """Delete the flows of queries to these servers that the kernel remembers, if it can be asked.

    The kernel decides for the first packet of a flow whether it is redirected, and treats later packets
    alike, even without the rule: they would be sent to a resolver that has ended.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            forget_flows_of_family(family, servers, is_redirected=is_redirected)


def forget_flows_of_family(family: int, servers: Sequence[str], *, is_redirected: bool) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.settimeout(END_SECONDS)
        kernel.send(build_flow_request(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, family))
        for flow in read_flows(kernel):
            if flow.is_redirected == is_redirected and is_query(flow, servers):
                flags = NLM_F_REQUEST | NLM_F_ACK
                kernel.send(build_flow_request(CT_DELETE, flags, family, flow.original))
                kernel.recv(MAX_MESSAGE)


class Flow(NamedTuple):
    """A flow that the kernel's connection tracking knows. `original` is the attribute CTA_TUPLE_ORIG."""

    original: bytes
    is_redirected: bool


def build_flow_request(kind: int, flags: int, family: int, attributes: bytes = b"") -> bytes:
    """A message for the kernel's connection tracking (linux/netfilter/nfnetlink_conntrack.h)."""
    header = struct.pack("=IHHII", 20 + len(attributes), CT_SUBSYSTEM << 8 | kind, flags, 1, 0)
    return header + struct.pack("=BBH", family, 0, 0) + attributes


def read_flows(kernel: socket.socket) -> list[Flow]:
    """Read the flows that the kernel lists, up to the end of its list."""
    found: list[Flow] = []
    while True:
        data = kernel.recv(MAX_MESSAGE)
        while len(data) >= NLMSG_HEADER:
            length, kind = struct.unpack_from("=IH", data)
            if kind in {NLMSG_ERROR, NLMSG_DONE} or length < NLMSG_HEADER:
                return found
            attributes = read_attributes(data[20:length])
            status = int.from_bytes(attributes.get(CTA_STATUS, b"")[4:8], "big")
            found.append(Flow(attributes.get(CTA_TUPLE_ORIG, b""), bool(status & IPS_DST_NAT)))
            data = data[align(length) :]


def is_query(flow: Flow, servers: Sequence[str]) -> bool:
    tuple_of_flow = read_attributes(flow.original[4:])
    addresses = read_attributes(tuple_of_flow.get(CTA_TUPLE_IP, b"")[4:])
    protocol = read_attributes(tuple_of_flow.get(CTA_TUPLE_PROTO, b"")[4:])
    address = addresses.get(CTA_IP_V4_DST) or addresses.get(CTA_IP_V6_DST) or b""
    if len(address) not in {8, 20} or str(ipaddress.ip_address(address[4:])) not in servers:
        return False
    is_udp = protocol.get(CTA_PROTO_NUM, b"")[4:5] == bytes([socket.IPPROTO_UDP])
    return is_udp and protocol.get(CTA_PROTO_DST_PORT, b"")[4:6] == DNS_PORT.to_bytes(2, "big")


def read_attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by their kind, each with its header of four bytes."""
    found = {}
    while len(data) >= NLA_HEADER:
        length, kind = struct.unpack_from("=HH", data)
        if length < NLA_HEADER:
            break
        found[kind & 0x3FFF] = data[:length]
        data = data[align(length) :]
    return found


def align(length: int) -> int:
    return length + 3 & ~3
