"""Whether two addresses lead to the same place: `localhost`, `127.1`, `::ffff:127.0.0.1`, a name.

An endpoint is the host and port that a document or a registered service names. A place is where it leads once
the name is resolved: an IP address and a port, the same for every spelling.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from scenarios.domain.service_urls import DEFAULT_PORTS

Endpoint = tuple[str, int]
Place = tuple[str, int]

# A listener may listen on all addresses of this machine, so they count as one.
THIS_HOST = "localhost"
# Instead of a host, where all are meant; no host has such a name.
EVERY_HOST = "*"
EVERY_PORT = 0
KNOWN_FOR_SECONDS = 5.0
LOOKUP_SECONDS = 2.0
MAX_KNOWN = 10_000


def parse_endpoint(url: str) -> Endpoint | None:
    """Host and port of a URL, parsed like the client does; None if it has none, or contains a secret."""
    # Imported here: it takes a few ms, and only documents with addresses need it.
    from yarl import URL  # noqa: PLC0415

    if "${secret:" in url:
        return None
    try:
        parsed = URL(url)
        port = parsed.port or DEFAULT_PORTS.get(parsed.scheme) or 80
        return (normalize_host(parsed.raw_host), port) if parsed.raw_host else None
    except (ValueError, TypeError):
        return None


def normalize_host(host: str) -> str:
    """The host in ASCII and lower case, without IPv6 brackets and the final dot."""
    from yarl import URL  # noqa: PLC0415

    bare = host.removeprefix("[").removesuffix("]").lower()
    bare = bare.removesuffix(".") or bare
    if bare.isascii():
        return bare
    try:
        return URL.build(scheme="http", host=bare).raw_host or bare
    except ValueError:
        return bare


def normalize_ip(ip: str) -> str:
    """One spelling per IP address, and one for all addresses of this machine."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_loopback or _local.is_known(str(address)):
        return THIS_HOST
    return str(address)


def leads_to_itself(ip: str) -> bool:
    """Whether every machine reaches itself by this address, such as 127.0.0.1; not of a name."""
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def resolve_places(endpoint: Endpoint, *, lookups: bool = True) -> frozenset[Place]:
    """The places of an endpoint, and the endpoint itself, which stands for a name that cannot be resolved.

    Without `lookups` no name server is asked: the last known addresses are used, however old they are.
    """
    host, port = endpoint
    known = names.resolve([host], lookups=lookups).get(host, frozenset())
    return frozenset({(host, port), *((ip, port) for ip in known)})


def build_places(host: str, addresses: Iterable[tuple[str, int]]) -> frozenset[Place]:
    """The places of the socket addresses that the host was resolved to."""
    found = list(addresses)
    spelling = {(normalize_host(host), port) for _, port in found}
    numeric = {(address, port) for ip, port in found if (address := _normalize_ip_or_none(ip))}
    return frozenset(spelling | numeric)


def format_hold(place: Place) -> str:
    """The name of a hold on the place, such as `127.0.0.1:8080` or `[fd00::1]:80`; "" for an unresolved name.

    No service has such a name, because the name of a service cannot contain a colon.
    """
    host, port = place
    if host == THIS_HOST:
        return f"127.0.0.1:{port}"
    if _normalize_ip_or_none(host) is None:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _normalize_ip_or_none(ip: str) -> str | None:
    try:
        return normalize_ip(ip)
    except ValueError:
        return None  # a name that could not be resolved


def look_up(host: str) -> list[str]:
    """The addresses of the host as a client resolves it now; empty if it cannot be resolved."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: not a host name
        return []
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


@dataclass(slots=True)
class _Known:
    value: frozenset[str]
    at: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    thread: threading.Thread
    began: float


class Names:
    """Resolves names in parallel, for a limited time, and remembers the results for a few seconds."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._lock = threading.Lock()

    def resolve(self, hosts: Iterable[str], *, lookups: bool = True) -> dict[str, frozenset[str]]:
        """The normalized addresses of each host; a host that cannot be resolved in time is left out."""
        wanted = list(dict.fromkeys(hosts))
        found = {host: numeric for host in wanted if (numeric := _numeric(host)) is not None}
        named = [host for host in wanted if host not in found]
        if lookups:
            self._look_up([host for host in named if not self._is_fresh(host)])
        known = {host: self._known.get(host) for host in named}
        return found | {host: address.value for host, address in known.items() if address is not None}

    def _is_fresh(self, host: str) -> bool:
        known = self._known.get(host)
        return known is not None and time.monotonic() - known.at < KNOWN_FOR_SECONDS

    def _look_up(self, hosts: Iterable[str]) -> None:
        for lookup in [self._begin(host) for host in hosts]:
            # Counted from the beginning of the lookup: later callers do not wait as long again for a name
            # server that hangs.
            lookup.thread.join(max(0.0, lookup.began + LOOKUP_SECONDS - time.monotonic()))

    def _begin(self, host: str) -> _Lookup:
        with self._lock:
            running = self._lookups.get(host)
            if running is not None and running.thread.is_alive():
                return running  # do not ask a name server that hangs again
            # A daemon, so that the process can end while the resolver hangs, which may take half a minute.
            thread = threading.Thread(target=self._ask, args=[host], daemon=True)
            lookup = self._lookups[host] = _Lookup(thread, time.monotonic())
            thread.start()
            return lookup

    def _ask(self, host: str) -> None:
        value = frozenset(map(normalize_ip, look_up(host)))
        with self._lock:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            before = self._known.get(host)
            if not value and before is not None:
                value = before.value  # a failing name server must not unprotect an address
            self._known[host] = _Known(value, time.monotonic())
            self._lookups.pop(host, None)


def _numeric(host: str) -> frozenset[str] | None:
    """The IP address in any spelling that the system accepts; None for a name."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return frozenset(normalize_ip(str(answer[4][0])) for answer in answers)
    except (OSError, ValueError):
        return None


class _LocalAddresses:
    """The addresses of this machine: those that it would use to connect to itself."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, float]] = {}

    def is_known(self, ip: str) -> bool:
        found = self._known.get(ip)
        if found is None or time.monotonic() - found[1] >= KNOWN_FOR_SECONDS:
            found = self._known[ip] = (_is_local(ip), time.monotonic())
        return found[0]


def _is_local(ip: str) -> bool:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((ip, 9))  # UDP: only chooses a route and sends nothing
            return str(probe.getsockname()[0]) == ip
    except OSError:
        return False


_local = _LocalAddresses()
names = Names()
