"""The words of `fault: {host: …}`, and what the host program takes instead."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, Share
from scenarios.domain.durations import format_duration, parse_duration
from scenarios.domain.sizes import PERCENT_PATTERN, SIZE_PATTERN, parse_share, parse_size
from scenarios.domain.templates import find_secrets
from scenarios.drivers.proxy_arguments import Rate, Seconds

MAX_DNS_DELAY = 60.0
_WAYS = ("unit", "pidfile", "port")
_UNIT_PATTERN = r"^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,200}$"


def _check_address(text: str) -> str:
    if text == "any":
        return text
    try:
        ip_address(text.replace("%", "/"))  # no zone of an interface
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} is not an IP address: write it as '10.0.0.7', or 'any' with a 'port'"
        ) from None
    return text


def _check_one_address(text: str) -> str:
    if text == "any":
        raise ValueError("'any' is not possible here: name the address of one host")
    return _check_address(text)


def _check_dns_answer(text: str) -> str:
    if text in {"servfail", "nxdomain"}:
        return text
    try:
        ip_address(text.replace("%", "/"))
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} is not an answer: write 'servfail', 'nxdomain' or an IP address"
        ) from None
    return text


def _check_dns_delay(seconds: float) -> float:
    if seconds > MAX_DNS_DELAY:
        raise ValueError(f"'{format_duration(seconds)}' is too long: nobody waits for a name for a minute")
    return seconds


def _check_path(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"{text[:80]!r} is not an absolute path: it must begin with '/'")
    return text


def _parse_pick(value: object) -> int | str:
    """How many hosts, or a percentage of them as text."""
    if isinstance(value, str):
        parse_share(value)
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{value!r} is not a number of hosts: write a whole number from 1, or a percentage, as '50%'"
        )
    return value


Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
Unit = Annotated[str, Field(pattern=_UNIT_PATTERN)]
Path = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_check_path)]
Address = Annotated[str, Field(min_length=2, max_length=45), AfterValidator(_check_address)]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["512MiB"]}),
]
Pick = Annotated[
    int | str,
    BeforeValidator(_parse_pick),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": PERCENT_PATTERN}],
            "examples": [1, "50%"],
        }
    ),
]


class ProcessTarget(Declaration):
    """A systemd `unit`, the process of a `pidfile`, or the processes that listen on a TCP `port`."""

    unit: Unit = Field(ABSENT)
    pidfile: Path = Field(ABSENT)
    port: Port = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        ways = [way for way in _WAYS if way in values]
        if not ways:
            yield "", "the fault has no process: give one of 'unit', 'pidfile' and 'port'"
        for extra in ways[1:]:
            yield extra, f"{extra!r} and {ways[0]!r} cannot be combined: name the process in one way"


class UnitTarget(Declaration):
    unit: Unit


class Traffic(Declaration):
    """TCP packets `to` an address (and `port` there), or `from` an address (to a `port` of this host)."""

    to: Address = Field(ABSENT)
    from_: Address = Field(ABSENT, alias="from")
    port: Port = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not {"to", "from"} & values.keys():
            yield "", "the fault has no address: give 'to' or 'from'"
        for word in ("to", "from"):
            if values.get(word) == "any" and "port" not in values:
                yield word, f"{word!r} with 'any' needs a 'port': else the host would be cut off"


class AllTraffic(Traffic):
    """Packets `to` an address (and `port` there), or `from` an address (to a `port` of this host).

    Without a `protocol`, a `port` is one of TCP and of UDP.
    """

    protocol: Literal["tcp", "udp"] = Field(ABSENT)


class LossyTraffic(Traffic):
    """The `share` of new TCP connections that are lost, chosen by the `seed` of the fault."""

    share: Share


class SlowTraffic(Declaration):
    """What new TCP connections to this place receive is late by `delay`, up to `jitter` more or less."""

    to: Annotated[str, Field(min_length=2, max_length=45), AfterValidator(_check_one_address)]
    port: Port
    delay: Seconds
    jitter: Seconds = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        try:
            delay, jitter = parse_duration(values.get("delay")), parse_duration(values.get("jitter"))
        except ValueError:
            return  # missing, reported where they stand, or filled in later
        if jitter > delay:
            yield "jitter", f"{values['jitter']!r} is more than 'delay': data cannot be early"


class NarrowTraffic(Declaration):
    """What each new TCP connection to this place receives comes at this `rate`."""

    to: Annotated[str, Field(min_length=2, max_length=45), AfterValidator(_check_one_address)]
    port: Port
    rate: Rate


class NameLookups(Declaration):
    """Lookups of `names` over UDP. `*.example.com` stands for names below it; without `names`, all of them.

    `answer` is `servfail`, `nxdomain`, or a wrong IP address. With `delay`, the answer is late; without
    `answer`, it is correct.
    """

    names: Annotated[list[Annotated[str, Field(min_length=1, max_length=253)]], Field(min_length=1)] = Field(
        ABSENT
    )
    answer: Annotated[str, Field(max_length=45), AfterValidator(_check_dns_answer)] = Field(ABSENT)
    delay: Annotated[Seconds, AfterValidator(_check_dns_delay)] = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not {"answer", "delay"} & values.keys():
            yield "", "the fault has no effect: give 'answer' or 'delay'"


class CpuLoad(Declaration):
    """This many `cores`, by default all of them, are busy for this share of the time."""

    load: Share = 1.0
    cores: Annotated[int, Field(ge=1, le=4096), WHOLE] = Field(ABSENT)


class MemoryLoad(Declaration):
    """Memory of this `size` is used, or memory is used up to this `share` of the total."""

    size: Size = Field(ABSENT)
    share: Share = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if len({"size", "share"} & values.keys()) != 1:
            yield "", "the fault has no amount: give either 'size' or 'share'"


class IoLoad(Declaration):
    """This many `workers` write and sync files in `path`."""

    workers: Annotated[int, Field(ge=1, le=64), WHOLE] = 1
    path: Path = "/var/tmp"  # noqa: S108 - stress-ng makes a directory of its own there


class FullDisk(Declaration):
    """The disk of `path` is filled up to this `share`."""

    path: Path
    share: Share = 1.0


class HostArguments(Declaration):
    """`name`, or `where` with the labels of hosts, and one kind of fault.

    `pick` limits how many of the hosts with these labels have the fault: a number, or a percentage. The same
    `seed` picks the same hosts.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        "pause",
        "kill",
        "restart",
        "stop",
        "blackhole",
        "reset",
        "loss",
        "latency",
        "bandwidth",
        "dns",
        "cpu",
        "memory",
        "io",
        "disk",
    )
    UNLEASED: ClassVar[frozenset[str]] = frozenset({"kill", "restart"})

    name: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    where: Annotated[dict[str, str], Field(min_length=1)] = Field(ABSENT)
    pick: Pick = Field(ABSENT)
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = 0
    pause: ProcessTarget = Field(ABSENT)
    kill: ProcessTarget = Field(ABSENT)
    restart: UnitTarget = Field(ABSENT)
    stop: UnitTarget = Field(ABSENT)
    blackhole: AllTraffic = Field(ABSENT)
    reset: Traffic = Field(ABSENT)
    loss: LossyTraffic = Field(ABSENT)
    latency: SlowTraffic = Field(ABSENT)
    bandwidth: NarrowTraffic = Field(ABSENT)
    dns: NameLookups = Field(ABSENT)
    cpu: CpuLoad = Field(ABSENT)
    memory: MemoryLoad = Field(ABSENT)
    io: IoLoad = Field(ABSENT)
    disk: FullDisk = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for word in filter(lambda word: find_secrets(values[word]), values):
            # Else neither the host nor the services there would be held and protected.
            yield word, f"{word!r} has a secret, so nobody could know what the run touches: use a variable"
        if "name" in values and "where" in values:
            yield "where", "'where' and 'name' cannot be combined: choose hosts in one way"
        if "name" not in values and "where" not in values:
            yield "", "the fault has no host: give 'name' or 'where'"
        if "pick" in values and "where" not in values:
            yield "pick", "'pick' needs 'where': it picks from the hosts with these labels"
        kinds = [kind for kind in cls.KINDS if kind in values]
        if not kinds:
            yield "", f"the fault has no kind: give one of {', '.join(map(repr, cls.KINDS))}"
        for extra in kinds[1:]:
            yield extra, f"{extra!r} and {kinds[0]!r} cannot be combined: write a fault for each"

    @property
    def kind(self) -> str:
        return next(kind for kind in self.KINDS if getattr(self, kind) is not None)

    def to_wire(self) -> dict[str, Any]:
        """The arguments of the kind for the host program: seconds, bytes and shares as numbers."""
        wire: dict[str, Any] = getattr(self, self.kind).model_dump(by_alias=True, exclude_unset=True)
        if self.kind == "loss":
            wire["seed"] = self.seed
        return wire


def find_kind(arguments: Mapping[str, Any]) -> str:
    """The kind of a fault with these arguments, as JSON values."""
    return next((kind for kind in HostArguments.KINDS if kind in arguments), "")


def count_picked(pick: int | str | None, available: int) -> int:
    """How many of these hosts have the fault: at least one for a percentage."""
    if pick is None:
        return available
    if isinstance(pick, str):
        return max(1, round(parse_share(pick) * available))
    return pick
