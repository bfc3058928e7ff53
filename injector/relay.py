"""Listens where clients expect their dependency, and passes connections on to it, with faults."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from injector.certificates import Validity
from injector.configuration import ServerTls, format_address
from injector.connections import Connection, Counts, Upstream
from injector.faults import Fault
from injector.http_faults import HttpFault, HttpRule, is_chosen
from injector.sides import Side

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
BACKLOG = 1024


class Relay:
    """Listens on `address` for `upstream`. `name` is the address as it was configured.

    With `tls`, clients speak TLS with the certificate of this context, whose `validity` is reported.
    """

    def __init__(
        self,
        address: tuple[str, int],
        upstream: Upstream,
        tls: ssl.SSLContext | None = None,
        validity: Validity | None = None,
    ) -> None:
        self.address = address
        self.upstream = upstream
        self.tls = tls
        self.validity = validity
        self.upstream_problem = ""
        """Why the last connection to the upstream could not trust its certificate."""
        self.name = format_address(*address)
        self.counts = Counts()
        self.open: dict[Connection, None] = {}
        self.http_rules: dict[str, HttpRule] = {}
        self.problem = ""
        """Why it does not listen although it should."""
        self.is_full: Callable[[], bool] = lambda: False
        """Whether the proxy has as many connections as it may have."""
        self._faults: dict[str, Fault] = {}
        self._touched: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._listening: asyncio.Task[None] | None = None
        self._is_stopped = False

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is in use, or not of this machine.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, *self.address, ssl=self.tls, backlog=BACKLOG)
        if not self.address[1]:  # the system has chosen one
            self.address = (self.address[0], self._server.sockets[0].getsockname()[1])
            self.name = format_address(*self.address)

    def follow(self, other: "Relay", certificate: ServerTls | None) -> None:
        """Use the upstream and the certificate of this relay, which does not listen, for new connections."""
        self.upstream, self.validity = other.upstream, other.validity
        self.upstream_problem = ""
        if self.tls is not None and certificate is not None:
            certificate.load(self.tls)
        elif self.tls is not other.tls:
            self.tls = other.tls
            if self._server is not None:
                self._stop_listening()
                self._listening = asyncio.create_task(self._listen_again())

    @property
    def certificate_problem(self) -> str:
        """Why clients refuse the certificate of the listener; '' if they do not."""
        return self.validity.explain_problem(datetime.now(UTC)) if self.validity is not None else ""

    def note_trust(self, reason: str) -> None:
        """Note why connections to the upstream fail because of its certificate; '' if they no longer do."""
        if not reason:
            self.upstream_problem = ""
            return
        problem = f"the certificate of the upstream {self.upstream} is not trusted: {reason}"
        if problem != self.upstream_problem:
            logger.warning("%s: %s", self.name, problem)
        self.upstream_problem = problem

    def turns_away(self) -> bool:
        """Whether a new connection is reset, so that the control API keeps the files that it needs."""
        is_full = self.is_full()
        if is_full and not self.counts.turned_away:
            logger.warning("%s: resets connections: more need a higher limit of open files", self.name)
        self.counts.turned_away += is_full
        return is_full

    @property
    def is_listening(self) -> bool:
        return self._server is not None

    def set_faults(self, faults: Mapping[str, Fault]) -> None:
        """Apply these faults from now on, also to established connections."""
        before = self._faults
        self._faults = {name: fault for name, fault in faults.items() if fault.has_tcp_kind}
        added = {name: fault for name, fault in self._faults.items() if before.get(name) != fault}
        removed = [name for name in before if name in added or name not in self._faults]
        for name in removed:
            del self._touched[name]
        self.http_rules = {
            name: self._find_rule(name, fault.http)
            for name, fault in faults.items()
            if fault.http is not None
        }
        for connection in list(self.open):
            try:
                connection.apply_change(added, removed)
            except Exception:  # the fault of all others must not fail because of one
                logger.exception("%s: reset a connection that cannot have its faults", self.name)
                connection.reset()
        if self._refuses_all():
            self._stop_listening()
        elif self._server is None and self._listening is None:
            self._listening = asyncio.create_task(self._listen_again())

    def _find_rule(self, name: str, fault: HttpFault) -> HttpRule:
        """The earlier rule with its count, if it belongs to the same fault."""
        rule = self.http_rules.get(name)
        return rule if rule is not None and rule.fault == fault else HttpRule(fault)

    async def _listen_again(self) -> None:
        while not self._is_stopped and not self._refuses_all():
            try:
                await self.start()
                self.problem = ""
                break
            except OSError as error:  # another process has taken the port
                if not self.problem:
                    logger.warning("%s: cannot listen again, still trying: %s", self.name, error)
                self.problem = f"cannot listen again, still trying: {error}"
                self.counts.listening_failed += 1
                await asyncio.sleep(RETRY_SECONDS)
        self._listening = None
        if self._refuses_all() or self._is_stopped:
            self._stop_listening()

    def _refuses_all(self) -> bool:
        return any(fault.refuse and fault.share >= 1 for fault in self._faults.values())

    def find_faults(self, number: int) -> dict[str, Fault]:
        """The faults of the connection with this number, without those of HTTP."""
        if not self._faults:
            return {}
        return {
            name: fault for name, fault in self._faults.items() if is_chosen(fault.share, fault.seed, number)
        }

    def count_touched(self, names: Iterable[str]) -> None:
        self._touched.update(list(names))  # a mapping would be taken for counts

    def find_touched(self, name: str) -> int:
        """How many connections the fault has concerned so far, and requests if it is one of HTTP."""
        rule = self.http_rules.get(name)
        return self._touched[name] + (rule.hits if rule is not None else 0)

    @property
    def bytes_passed(self) -> tuple[int, int]:
        """Bytes up and down, including those of open connections."""
        up = sum(connection.up.passed for connection in self.open)
        down = sum(connection.down.passed for connection in self.open)
        return self.counts.bytes_up + up, self.counts.bytes_down + down

    def stop(self) -> None:
        self._is_stopped = True
        self._stop_listening()
        if self._listening is not None:
            self._listening.cancel()
        for connection in list(self.open):
            connection.close()

    def _accept(self) -> Side:
        self.counts.connections += 1
        return Connection(self, self.counts.connections).client

    def _stop_listening(self) -> None:
        self.problem = ""
        if self._server is not None:
            self._server.close()
            self._server = None
