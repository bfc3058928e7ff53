"""Sends the probes of a driver at a constant rate, to servers that do not speak HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from random import Random
from typing import Any

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.domain.templates import format_scalar, substitute
from scenarios.load.pace import TIMEOUT, Pace, Place
from scenarios.ports import Connection, Intent, Proxy, RegisteredHost

# Each has a connection of its own.
MAX_OPEN_PROBES = 500
MAX_KEPT_VARIANTS = 1_000


class AdmittedPlatform:
    """What a probe of a load sees of the platform: the places that the run was admitted to at its start."""

    intent = Intent.ACT

    def __init__(
        self,
        addresses: Mapping[str, str],
        admitted: Sequence[Sequence[Any]],
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._addresses = addresses
        self._defaults = defaults or {}
        self._admitted = {(str(address), int(port)) for address, port in admitted}
        self.secret_arguments: frozenset[str] = frozenset()

    def address_of(self, service: str) -> str:
        return self._addresses[service]

    def web_defaults(self, service: str) -> Mapping[str, Any]:
        return self._defaults.get(service, {})

    def proxy_of(self, service: str) -> Proxy:
        raise StepImpossible(f"a load does not ask the fault proxy of {service!r}")

    def hosts(self) -> Sequence[RegisteredHost]:
        return ()

    def secret(self, name: str) -> str:
        raise StepImpossible(f"the secret {name!r} was not named in the request")

    async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
        del reads, was_sent
        if not self._admitted.issuperset(connection.addresses):
            raise StepImpossible(f"{connection.host} leads to another place than at the start of the load")


class ProbeSender:
    """Sends one load. `order` is what load/process.py writes first."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        request = order["request"]
        module, _, name = request["driver"].rpartition(".")
        self._driver = getattr(import_module(module), name)()
        for library in getattr(self._driver, "libraries", ()):
            import_module(library)
        self._arguments = request["arguments"]
        self._platform = AdmittedPlatform(request["addresses"], request["admitted"], request.get("defaults"))
        self._choose = order["choose"]
        self._random = Random(order["seed"])  # noqa: S311 - choices that a run can repeat
        self._timeout: float = order["timeout"]
        self._built: dict[tuple[Any, ...], Any] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.pace = Pace(order["rate"], order["max_requests"], self._send)

    def begin(self) -> None:
        self.pace.begin()

    def _send(self, due: float, place: Place) -> bool:
        if len(self._open) >= MAX_OPEN_PROBES:
            return False
        probe = self._loop.create_task(self._probe(self._draw(), due, place))
        self._open.add(probe)
        probe.add_done_callback(self._open.discard)
        return True

    def _draw(self) -> Any:
        """The arguments of the next probe; the same sequence for the same seed."""
        chosen = tuple(format_scalar(self._random.choice(values)) for values in self._choose.values())
        found = self._built.get(chosen)
        if found is None:
            filled = substitute(self._arguments, dict(zip(self._choose, chosen, strict=True)))
            found = self._driver.Arguments.model_validate(filled)
            if len(self._built) < MAX_KEPT_VARIANTS:
                self._built[chosen] = found
        return found

    async def _probe(self, arguments: Any, due: float, place: Place) -> None:
        latency: float | None = None
        try:
            async with asyncio.timeout_at(due + self._timeout):
                fields = await self._driver.probe(arguments, self._platform)
        except Exception as error:  # a site's own driver: it must not end the load  # noqa: BLE001
            kind = name_error(error)
            latency = self._timeout if kind == TIMEOUT else None
        else:
            find_error = getattr(self._driver, "find_load_error", None)
            kind = find_error(fields) if find_error is not None else ""
            latency = self._loop.time() - due
        self.pace.note_answer(place, kind, latency)


def name_error(error: Exception) -> str:
    """The kind of the error, without what a target said, which may hold a secret."""
    kinds: Mapping[type[Exception], str] = {
        TimeoutError: TIMEOUT,
        StepImpossible: "not possible",
        StepNotSent: "no connection",
        StepNotDone: "refused",
        StepFailed: "failed",
    }
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), type(error).__name__)
