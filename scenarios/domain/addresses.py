"""When two spellings of an address lead to one place: `localhost`, `127.1`, `::ffff:127.0.0.1`, a name.

An endpoint is what a document or a registered service names: a host and a port. A place is where that leads,
after names are resolved: an IP address and a port, the same for every spelling of it.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

Endpoint = tuple[str, int]
Place = tuple[str, int]

# Every address of this machine leads to the same listener where that listens on all of them.
THIS_HOST = "localhost"
KNOWN_FOR_SECONDS = 5.0
LOOKUP_SECONDS = 2.0
MAX_KNOWN = 10_000
_PORTS = {"http": 80, "https": 443}


def parse_endpoint(url: str) -> Endpoint | None:
    """Host and port of the URL, read as the client reads it; None where it names none, or awaits a secret."""
    # Takes a few ms to import, and is only needed where a document names addresses.
    from yarl import URL  # noqa: PLC0415

    if "${secret:" in url:
        return None
    try:
        parsed = URL(url)
        port = parsed.port or _PORTS.get(parsed.scheme, 80)
        return (normalize_host(parsed.raw_host), port) if parsed.raw_host else None
    except (ValueError, TypeError):
        return None


def normalize_host(host: str) -> str:
    """As it is compared: without the brackets of IPv6, the dot at the end and capital letters; in ASCII."""
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
    """One text for each address, and one for all those of this machine."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_loopback or _local.is_known(str(address)):
        return THIS_HOST
    return str(address)


def resolve_places(endpoint: Endpoint, *, lookups: bool = True) -> frozenset[Place]:
    """Where the endpoint leads, and its own spelling, so that a name which cannot be resolved is itself.

    Without `lookups` no name server is asked: what is known of the name stands, however old.
    """
    host, port = endpoint
    known = names.resolve([host], lookups=lookups).get(host, frozenset())
    return frozenset({(host, port), *((ip, port) for ip in known)})


def build_places(host: str, addresses: Iterable[tuple[str, int]]) -> frozenset[Place]:
    """The places of socket addresses to which the host was resolved."""
    found = list(addresses)
    spelling = {(normalize_host(host), port) for _, port in found}
    numeric = {(address, port) for ip, port in found if (address := _normalize_ip_or_none(ip))}
    return frozenset(spelling | numeric)


def format_hold(place: Place) -> str:
    """How the place is held, as `127.0.0.1:8080` or `[fd00::1]:80`; "" where its name is not resolved.

    No service has such a name, because none contains a colon.
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
    """The addresses of the host, as a client resolves it now; none where it cannot be resolved."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # a name that is no name, too
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
    """What names are resolved to, known for a few seconds; lookups go on side by side, for a short time."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._lock = threading.Lock()

    def resolve(self, hosts: Iterable[str], *, lookups: bool = True) -> dict[str, frozenset[str]]:
        """The canonical addresses of each host; none of one that cannot be resolved in time."""
        wanted = list(dict.fromkeys(hosts))
        found = {host: numeric for host in wanted if (numeric := _numeric(host)) is not None}
        named = [host for host in wanted if host not in found]
        if lookups:
            self._look_up([host for host in named if not self._is_fresh(host)])
        known = {host: self._known.get(host) for host in named}
        return found | {host: one.value for host, one in known.items() if one is not None}

    def _is_fresh(self, host: str) -> bool:
        known = self._known.get(host)
        return known is not None and time.monotonic() - known.at < KNOWN_FOR_SECONDS

    def _look_up(self, hosts: Iterable[str]) -> None:
        for lookup in [self._begin(host) for host in hosts]:
            # From its beginning on: whoever comes while a name server hangs does not wait as long again.
            lookup.thread.join(max(0.0, lookup.began + LOOKUP_SECONDS - time.monotonic()))

    def _begin(self, host: str) -> _Lookup:
        with self._lock:
            running = self._lookups.get(host)
            if running is not None and running.thread.is_alive():
                return running  # a name server that hangs is not asked again meanwhile
            # A daemon: the resolver may hang for half a minute, and no process waits for it at its end.
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
                value = before.value  # a name server that fails does not make a protected address free
            self._known[host] = _Known(value, time.monotonic())
            self._lookups.pop(host, None)


def _numeric(host: str) -> frozenset[str] | None:
    """The address that the text is, in any spelling that the system reads; None where it is a name."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return frozenset(normalize_ip(str(answer[4][0])) for answer in answers)
    except (OSError, ValueError):
        return None


class _LocalAddresses:
    """Which addresses are this machine's own: those from which it would speak to itself."""

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
            probe.connect((ip, 9))  # of UDP: it chooses a route, and sends nothing
            return str(probe.getsockname()[0]) == ip
    except OSError:
        return False


_local = _LocalAddresses()
names = Names()
