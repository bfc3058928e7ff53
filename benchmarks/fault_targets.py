"""Ordinary services, each with a fault that breaks it, and a check whether it is broken."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.servers.coordinator import PROJECT
from tests.servers.fault_proxy import TOKEN
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.redis_server import redis_server

LATENCY = 3.0
# How long a look waits for a service before it calls it broken.
LOOK_SECONDS = 0.5
LONG = 3600
SECRET = "SCENARIO_SECRET_"  # noqa: S105 - how variables with secrets begin


@dataclass
class Breakable:
    """`fault` is what an action's `fault` says. `registrations`: words of `manage.py scenario`."""

    name: str
    fault: Mapping[str, Any]
    is_broken: Callable[[], bool]
    registrations: tuple[tuple[str, ...], ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    # Removes the fault if nothing else does.
    mend: Callable[[], object] = lambda: None
    # As Chaos Toolkit would do it, with the undo; new for each experiment.
    steps: Callable[[], tuple[dict[str, Any], dict[str, Any]]] | None = None
    is_by_ssh: bool = False
    # Only the guardian ends it: what is left where somebody kills that, too.
    needs_guardian: bool = False


def chaos_toolkit_actions(targets: list[Breakable]) -> tuple[list[Breakable], dict[str, list[Any]]]:
    """Those that Chaos Toolkit can break with providers of its own, and the experiment's activities."""
    chosen = [target for target in targets if target.steps is not None]
    steps = [target.steps() for target in chosen if target.steps is not None]
    method = [do for do, _ in steps]
    method[-1] = {**method[-1], "pauses": {"after": 300}}
    return chosen, {"method": method, "rollbacks": [undo for _, undo in steps]}


class Proxy:
    """A fault proxy that can be killed, and started again at the same addresses."""

    def __init__(
        self, upstream: str, count: int, address: str = "127.0.0.1", inside: Sequence[str] = ()
    ) -> None:
        self._inside = inside
        self._words = ["--control", f"{address}:{free_port()}"]
        self.control = f"http://{self._words[1]}"
        self.listeners = [f"{address}:{free_port()}" for _ in range(count)]
        for listener in self.listeners:
            self._words += ["--listen", listener, "--upstream", upstream]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._inside, sys.executable, "-m", "injector", *self._words],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], "FAULT_PROXY_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        while b"Control API" not in (line := self._process.stdout.readline()):
            assert line, "the fault proxy does not start"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def remove(self, fault_ids: Sequence[str]) -> None:
        for fault_id in fault_ids:
            self._remove(fault_id)

    def _remove(self, fault_id: str) -> None:
        connection = http.client.HTTPConnection(self.control.removeprefix("http://"), timeout=60)
        connection.request("DELETE", f"/faults/{fault_id}", headers={"Authorization": f"Bearer {TOKEN}"})
        connection.getresponse().read()
        connection.close()


@contextmanager
def local_targets(
    folder: Path, upstream: str, database: str, table: str
) -> Iterator[tuple[list[Breakable], Proxy]]:
    """One of each kind on this machine. `database` has the table, which exists for these targets alone."""
    with ExitStack() as stack:
        kinds: Mapping[str, Mapping[str, Any]] = {
            "slow": {"latency": f"{LATENCY:g}s"},
            "refusing": {"refuse": True},
            "hanging": {"hang": True},
        }
        proxy = Proxy(upstream, len(kinds))
        stack.callback(proxy.kill)
        proxy.start()
        proxied = [
            build_proxied(proxy, listener, name, words, is_slow)
            for listener, (name, words) in zip(proxy.listeners, kinds.items(), strict=True)
        ]
        yield [*proxied, _locked(database, table), _paused_redis(stack, folder), _frozen(stack)], proxy


def is_slow(address: str) -> bool:
    """Whether there is no answer of HTTP soon, or none at all."""
    connection = http.client.HTTPConnection(address, timeout=LOOK_SECONDS)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    except OSError:
        return True
    finally:
        connection.close()
    return False


def build_proxied(
    proxy: Proxy, listener: str, name: str, words: Mapping[str, Any], look: Callable[[str], bool]
) -> Breakable:
    options = ("--proxy", proxy.control, "--proxy-listener", listener)
    add = ("service", "add", name, "--url", f"http://{listener}", *options)
    kinds = {word: LATENCY if word == "latency" else value for word, value in words.items()}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    ids: list[str] = []
    content = {"listener": listener, "lease": LONG, "fault": kinds}

    def send(method: str, **more: Any) -> dict[str, Any]:
        url = f"{proxy.control}/faults/{ids[-1]}"
        provider = {"type": "http", "url": url, "method": method, "headers": headers, **more}
        return {"type": "action", "name": f"{method} {name}", "provider": provider}

    def steps() -> tuple[dict[str, Any], dict[str, Any]]:
        ids.append(f"{name}-{len(ids)}")  # a proxy refuses an id that was removed before
        return send("PUT", arguments=content), send("DELETE")

    return Breakable(
        name,
        {"proxy": {"service": name, **words}},
        lambda: look(listener),
        (add,),
        {f"{SECRET}FAULT_PROXY_TOKEN": TOKEN},
        lambda: proxy.remove(ids),
        steps,
    )


def _locked(database: str, table: str) -> Breakable:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int)".encode())

    def is_broken() -> bool:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{LOOK_SECONDS:g}s'".encode())
            try:
                connection.execute(f"SELECT count(*) FROM {table}".encode())  # noqa: S608 - own name
            except psycopg.errors.LockNotAvailable:
                return True
        return False

    address = database.replace("coordinator@", "")
    fault = {"postgresql": {"service": "locked", "user": "coordinator", "lock": {"table": table}}}
    return Breakable("locked", fault, is_broken, (("service", "add", "locked", "--url", address),))


def _paused_redis(stack: ExitStack, folder: Path) -> Breakable:
    server = stack.enter_context(redis_server(folder))

    def is_broken() -> bool:
        with redis.Redis.from_url(server.url, socket_timeout=LOOK_SECONDS) as client:
            try:
                client.set("key", "value")
            except redis.exceptions.TimeoutError:
                return True
        return False

    fault = {"redis": {"service": "paused", "pause": "writes"}}
    return Breakable("paused", fault, is_broken, (("service", "add", "paused", "--url", server.url),))


def start_server(stack: ExitStack, address: str = "127.0.0.1", inside: Sequence[str] = ()) -> tuple[int, int]:
    """An ordinary process: its id, and the port that it listens on."""
    port = free_port()
    words = [sys.executable, "-m", "http.server", str(port), "--bind", address]
    process = subprocess.Popen([*inside, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    wait_for(lambda: is_listening(port, address), what="the process listens")
    return process.pid, port


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def _frozen(stack: ExitStack) -> Breakable:
    pid, port = start_server(stack)

    def run(number: signal.Signals) -> dict[str, Any]:
        provider = {"type": "process", "path": "kill", "arguments": ["-s", number.name, str(pid)]}
        return {"type": "action", "name": number.name, "provider": provider}

    return Breakable(
        "frozen",
        {"host": {"name": "here", "pause": {"port": port}}},
        lambda: is_stopped(pid),
        (("host", "add", "here"),),
        {"ALLOWED_HOST_FAULTS": "pause"},
        lambda: os.kill(pid, signal.SIGCONT),
        lambda: (run(signal.SIGSTOP), run(signal.SIGCONT)),
        needs_guardian=True,
    )
