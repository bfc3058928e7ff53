"""What the fault proxy costs, compared with HAProxy in TCP mode with one thread.

    python benchmarks/fault_proxy.py [--rounds 5] [--seconds 3]

Both are in front of the same nginx, which returns two bytes. Each round measures them one after another, and
the ratios are medians over the rounds. Needs haproxy, nginx (nginx-light) and wrk; exits with 1 if a goal is
missed.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import free_port, wait_for

PROGRAMS = ("haproxy", "nginx", "wrk")
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TOKEN = "open-sesame"  # noqa: S105 - of this benchmark alone
CONNECTIONS = 50
ROUND_TRIPS = 2000
LARGE = 64 * 1024 * 1024
IDLE = 5000
LATENCY = 0.3
OPEN_FILES = 4 * IDLE
NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections {files}; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{ return 200 "ok"; }}
    location /large {{ root {folder}; }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn {files}
defaults
  mode tcp
  timeout connect 10s
  timeout client 600s
  timeout server 600s
listen here
  bind 127.0.0.1:{port} backlog 8192
  server nginx 127.0.0.1:{upstream}
"""


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    pid: int = 0
    control: int = 0

    def ask(self, method: str, path: str, content: object = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        connection.request(method, path, json.dumps(content), {"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status < 300
        connection.close()

    @property
    def cpu_seconds(self) -> float:
        # Exact to the nanosecond, where utime and stime are samples.
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def memory_mib(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024


@contextmanager
def running(arguments: Sequence[str], port: int) -> Iterator[int]:
    with subprocess.Popen(
        arguments,
        cwd=PROJECT,
        env={**os.environ, "FAULT_PROXY_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(lambda: can_connect(port) or process.poll() is not None, what=f"{arguments[0]} listens")
            assert process.poll() is None, f"{arguments[0]} has ended"
            yield process.pid
        finally:
            process.terminate()


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    port = free_port()
    (folder / "large").write_bytes(os.urandom(LARGE))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, files=OPEN_FILES))
    folder.chmod(0o755)
    with running(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], port):
        yield Server("nginx alone", port)


@contextmanager
def haproxy(folder: Path, upstream: int) -> Iterator[Server]:
    port = free_port()
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, upstream=upstream, files=IDLE + 100))
    with running(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], port) as pid:
        yield Server("HAProxy", port, pid)


@contextmanager
def fault_proxy(upstream: int) -> Iterator[Server]:
    port, control = free_port(), free_port()
    addresses = [f"--listen=127.0.0.1:{port}", f"--upstream=127.0.0.1:{upstream}"]
    command = [sys.executable, "-m", "injector", *addresses, f"--control=127.0.0.1:{control}"]
    with running(command, control) as pid:
        yield Server("the fault proxy", port, pid, control)


def measure_round_trip(server: Server) -> float:
    """The median of a round trip on one connection, in microseconds."""
    times = []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUND_TRIPS):
            started = time.perf_counter()
            connection.sendall(REQUEST)
            answer = connection.recv(4096)
            times.append(time.perf_counter() - started)
            assert answer.endswith(b"ok")
    return statistics.median(times) * 1e6


@dataclass(frozen=True)
class Load:
    rate: float
    cpu_per_request: float
    """In microseconds."""


def measure_load(server: Server, connections: int, seconds: int) -> Load:
    before = server.cpu_seconds if server.pid else 0.0
    url = f"http://127.0.0.1:{server.port}/"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    total = int(re.findall(r"(\d+) requests in", output)[0])
    used = (server.cpu_seconds if server.pid else 0.0) - before
    return Load(rate, used / total * 1e6)


def measure_large_body(server: Server, digest: str) -> float:
    """MiB per second."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", "/large")
    body = connection.getresponse().read()
    seconds = time.perf_counter() - started
    connection.close()
    assert hashlib.sha256(body).hexdigest() == digest, "other bytes arrived"
    return LARGE / seconds / 2**20


def measure_idle(server: Server) -> float:
    """MiB that the process has with this many connections, each of which has made one round trip."""
    with ExitStack() as stack:
        for _ in range(IDLE):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            connection.sendall(REQUEST)
            assert connection.recv(4096)
        return server.memory_mib


def compare(
    servers: Sequence[Server], rounds: int, measure: Callable[[Server], float]
) -> dict[str, list[float]]:
    """What each server reached in each round; within a round one after another."""
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server.name].append(measure(server))
    return found


def find_ratio(found: dict[str, list[float]], name: str) -> float:
    return statistics.median(ours / peers for ours, peers in zip(found[name], found["HAProxy"], strict=True))


def report_speed(
    goals: Goals, alone: Server, peer: Server, proxy: Server, options: argparse.Namespace
) -> None:
    digest = hashlib.sha256(options.large).hexdigest()
    trips = compare([alone, peer, proxy], options.rounds, measure_round_trip)
    added = {name: statistics.median(map(float.__sub__, trips[name], trips[alone.name])) for name in trips}
    loads: dict[str, list[Load]] = {server.name: [] for server in (peer, proxy)}
    rates = compare([peer, proxy], options.rounds, lambda server: note_load(loads, server, options.seconds))
    used = {name: [load.cpu_per_request for load in found] for name, found in loads.items()}
    large = compare([peer, proxy], options.rounds, lambda server: measure_large_body(server, digest))
    goals.tell("added to one round trip: HAProxy", added[peer.name], "µs")
    goals.tell("requests/s on 50 connections: HAProxy", statistics.median(rates[peer.name]))
    goals.tell("CPU per request: HAProxy", statistics.median(used[peer.name]), "µs")
    goals.at_most("added to one round trip", added[proxy.name], 50, "µs")
    goals.at_least("requests/s on 50 connections, of HAProxy's", find_ratio(rates, proxy.name), 0.8)
    goals.at_most("CPU per request, of HAProxy's", find_ratio(used, proxy.name), 1.3)
    goals.at_least("large body, of HAProxy's", find_ratio(large, proxy.name), 0.9)


def note_load(loads: dict[str, list[Load]], server: Server, seconds: int) -> float:
    load = measure_load(server, CONNECTIONS, seconds)
    loads[server.name].append(load)
    return load.rate


def measure_delays(server: Server, rate: int, seconds: int) -> list[float]:
    """Sorted seconds from each request to its response, sent evenly.

    Those of the first second are left out: the proxy still connects to the upstream then.
    """
    total, first = rate * (seconds + 1), rate
    size = max(10, int(rate * LATENCY * 1.5))
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(size)
        ]
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(connection, select.EPOLLIN)
        by_number = {connection.fileno(): connection for connection in connections}
        free, sent, delays = deque(by_number), dict[int, float](), list[float]()
        started = time.perf_counter()
        count = 0
        while len(delays) < total:
            now = time.perf_counter()
            while free and count < (now - started) * rate and count < total:
                number = free.popleft()
                sent[number] = time.perf_counter()
                by_number[number].sendall(REQUEST)
                count += 1
            for number, _ in poll.poll(0.5 / rate):
                assert by_number[number].recv(4096)
                delays.append(time.perf_counter() - sent[number])
                free.append(number)
    return sorted(delays[first:])


def report_accuracy(goals: Goals, server: Server, seconds: int) -> None:
    listener = f"127.0.0.1:{server.port}"
    fault = {"listener": listener, "lease": 600, "fault": {"latency": LATENCY}}
    server.ask("PUT", "/faults/benchmark", fault)
    for what, rate in (("idle", 30), ("at 2,000 requests/s", 2000)):
        delays = measure_delays(server, rate, max(seconds, 5))
        p50, p99 = (abs(delays[int(len(delays) * share)] - LATENCY) * 1e3 for share in (0.5, 0.99))
        goals.at_most(f"300 ms at p99 is off, {what}", p99, 5, "ms")
        goals.tell(f"300 ms at p50 is off, {what}", p50, "ms")
    server.ask("DELETE", "/faults/benchmark")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="for each load")
    options = parser.parse_args()
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        print(f"missing: {', '.join(missing)}; apt-get install haproxy nginx-light wrk", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    goals = Goals()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        alone = stack.enter_context(nginx(folder))
        options.large = (folder / "large").read_bytes()
        peer = stack.enter_context(haproxy(folder, alone.port))
        proxy = stack.enter_context(fault_proxy(alone.port))
        report_speed(goals, alone, peer, proxy, options)
        report_accuracy(goals, proxy, options.seconds)
        goals.at_most(f"memory with {IDLE:,} idle connections", measure_idle(proxy), 150, "MiB")
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
