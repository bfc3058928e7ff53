"""Ordinary services, each with a fault that can break it, and a look whether it is broken."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.servers.fault_proxy import TOKEN, RunningProxy, running_fault_proxy
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.postgresql import postgresql, programs
from tests.servers.redis_server import redis_server
from tests.servers.target import running_target

LATENCY = 1.0
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
    mend: Callable[[], object] = lambda: None
    # As Chaos Toolkit would do it, with the undo; new for each experiment.
    steps: Callable[[], tuple[dict[str, Any], dict[str, Any]]] | None = None


def chaos_toolkit_actions(targets: list[Breakable]) -> tuple[list[Breakable], dict[str, list[Any]]]:
    """Those that Chaos Toolkit can break with providers of its own, and the experiment's activities."""
    chosen = [target for target in targets if target.steps is not None]
    steps = [target.steps() for target in chosen if target.steps is not None]
    method = [do for do, _ in steps]
    method[-1] = {**method[-1], "pauses": {"after": 300}}
    return chosen, {"method": method, "rollbacks": [undo for _, undo in steps]}


@contextmanager
def all_targets() -> Iterator[list[Breakable]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        found = [*_slow(stack), *_refusing(stack), _locked(stack), _paused_redis(stack, folder)]
        yield [*found, _paused_process(stack)]


def _is_slow(proxy: RunningProxy) -> bool:
    host, _, port = proxy.listener.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=LATENCY / 2)
    try:
        connection.request("GET", "/health")
        connection.getresponse().read()
    except OSError:
        return True
    finally:
        connection.close()
    return False


def _proxied(stack: ExitStack, name: str, words: Mapping[str, Any]) -> Breakable:
    target = stack.enter_context(running_target("127.0.0.1"))
    proxy = stack.enter_context(running_fault_proxy(target.url.removeprefix("http://")))
    add = ("service", "add", name, "--url", f"http://{proxy.listener}", "--proxy", proxy.control)
    kinds = {word: LATENCY if word == "latency" else value for word, value in words.items()}
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    ids: list[str] = []
    content = {"listener": proxy.listener, "lease": LONG, "fault": kinds}

    def send(method: str, **more: Any) -> dict[str, Any]:
        url = f"{proxy.control}/faults/{ids[-1]}"
        provider = {"type": "http", "url": url, "method": method, "headers": headers, **more}
        return {"type": "action", "name": f"{method} {name}", "provider": provider}

    def steps() -> tuple[dict[str, Any], dict[str, Any]]:
        ids.append(f"{name}-{len(ids)}")  # a proxy refuses an id that was removed before
        return send("PUT", arguments=content), send("DELETE")

    def mend() -> None:
        proxy.ask("DELETE", f"/faults/{ids[-1]}")

    return Breakable(
        name,
        {"proxy": {"service": name, **words}},
        lambda: _is_slow(proxy),
        (add,),
        {f"{SECRET}FAULT_PROXY_TOKEN": TOKEN},
        mend,
        steps,
    )


def _slow(stack: ExitStack) -> Iterator[Breakable]:
    yield _proxied(stack, "slow", {"latency": "1s"})


def _refusing(stack: ExitStack) -> Iterator[Breakable]:
    yield _proxied(stack, "refusing", {"refuse": True})
    yield _proxied(stack, "hanging", {"hang": True})


def _locked(stack: ExitStack) -> Breakable:
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    server = stack.enter_context(postgresql(found))
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int)")

    def is_broken() -> bool:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '500ms'")
            try:
                connection.execute("SELECT count(*) FROM orders")
            except psycopg.errors.LockNotAvailable:
                return True
        return False

    address = server.url.replace("coordinator@", "")
    fault = {"postgresql": {"service": "locked", "user": "coordinator", "lock": {"table": "orders"}}}
    return Breakable("locked", fault, is_broken, (("service", "add", "locked", "--url", address),))


def _paused_redis(stack: ExitStack, folder: Path) -> Breakable:
    server = stack.enter_context(redis_server(folder))

    def is_broken() -> bool:
        with redis.Redis.from_url(server.url, socket_timeout=0.5) as client:
            try:
                client.set("key", "value")
            except redis.exceptions.TimeoutError:
                return True
        return False

    fault = {"redis": {"service": "paused", "pause": "writes"}}
    return Breakable("paused", fault, is_broken, (("service", "add", "paused", "--url", server.url),))


def _paused_process(stack: ExitStack) -> Breakable:
    port = free_port()
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )
    stack.callback(process.kill)
    wait_for(lambda: is_listening(port), what="the process listens")

    def is_broken() -> bool:
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].startswith("T")

    def run(number: signal.Signals) -> dict[str, Any]:
        arguments = ["-s", number.name, str(process.pid)]
        provider = {"type": "process", "path": "kill", "arguments": arguments}
        return {"type": "action", "name": number.name, "provider": provider}

    return Breakable(
        "frozen",
        {"host": {"name": "here", "pause": {"port": port}}},
        is_broken,
        (("host", "add", "here"),),
        {"ALLOWED_HOST_FAULTS": "pause"},
        lambda: os.kill(process.pid, signal.SIGCONT),
        lambda: (run(signal.SIGSTOP), run(signal.SIGCONT)),
    )
