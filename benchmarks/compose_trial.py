"""The shipped compose files, carried out as docs/operating.md says: `python benchmarks/compose_trial.py`.

Needs root, mmdebstrap, slirp4netns, and Docker with its plugin `compose`. No registry of images is asked:
Python's image, PostgreSQL, Prometheus and Alertmanager are made of Debian's packages under the names that
the files use; Grafana is left out. The engine has a network of its own, from which builds reach a package
index. Exits with 1 if a step misses its goal.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.containers.debian_root import PYTHON, find_root, trust_of_pip
from benchmarks.goals import Goals
from coordinator_site import __version__
from tests.servers.container_engine import ContainerEngine, docker_engine
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import wait_for

IMAGE = f"test-coordinator:{__version__}"
FILES = ("compose.yaml", "compose.demo.yaml")
SERVICES = ("postgresql", "prometheus", "prometheus-alertmanager", "redis-server")
STANDINS = {
    "postgres": "postgres:16-alpine",
    "prometheus": "prom/prometheus:v2.53.0",
    "alertmanager": "prom/alertmanager:v0.27.0",
    "redis": "redis:7-alpine",
}
SECRETS = {"POSTGRES_PASSWORD": "trial", "GRAFANA_PASSWORD": "trial", "FAULT_PROXY_TOKEN": "long-random-text"}
ROLLED = ("migrate", "web", "worker", "watchdog")
LEASE_SECONDS = 15
ORDERS = "http://127.0.0.1:8081/orders"
ASK = f"import urllib.request; print(urllib.request.urlopen('{ORDERS}', timeout=60).status)"
LONG = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: long}
spec:
  timeout: 40m
  variables:
    hold: {type: duration, default: 30m, description: How long the exchange fails}
  phases:
    - name: chaos
      hold: "${hold}"
      actions:
        - name: let orders fail
          do: {http: {service: exchange, method: POST, path: /chaos/errors, json: {rate: 1}}}
          undo: {http: {service: exchange, method: DELETE, path: /chaos/errors}}
"""


class Installation:
    """The compose project in its engine."""

    def __init__(self, engine: ContainerEngine, overrides: Path) -> None:
        self._engine = engine
        self._overrides = overrides
        self._token = ""

    def compose(self, *words: str, given: str = "", override: bool = False, code: int = 0) -> str:
        files = [PROJECT / "deploy" / "container" / name for name in FILES]
        chosen = [f"--file={file}" for file in [*files, *([self._overrides] if override else [])]]
        environment = {**os.environ, **SECRETS, "DOCKER_HOST": self._engine.url}
        done = subprocess.run(
            ["docker", "compose", *chosen, *words],
            input=given,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == code, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def manage(self, *words: str, given: str = "", service: str = "web") -> str:
        return self.compose("exec", "-T", service, "python", "manage.py", *words, given=given)

    def ask(self, port: int, path: str, body: Any = None) -> Any:
        """What answers at this port, which compose publishes; None if nothing does, or with an error."""
        command = [*self._engine.inside, "curl", "--silent", "--fail", "--max-time", "60"]
        if self._token:
            command += ["--header", f"Authorization: Bearer {self._token}"]
        if body is not None:
            command += ["--data", json.dumps(body)]
        url = f"http://127.0.0.1:{port}{path}"
        done = subprocess.run([*command, url], capture_output=True, text=True, check=False, timeout=120)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def log_in(self) -> None:
        """A superuser, and a token of the API, as the guides say."""
        create = [
            "exec",
            "-T",
            "-e",
            "DJANGO_SUPERUSER_PASSWORD=trial-of-compose",
            "web",
            "python",
            "manage.py",
        ]
        self.compose(*create, "createsuperuser", "--noinput", "--username=sam", "--email=sam@example.com")
        scopes = ("--scope", "read", "--scope", "run", "--scope", "stop")
        self._token = (
            self.manage("api_token", "create", "sam", "--name", "trial", *scopes).strip().split()[-1]
        )

    def start(self, scenario: str, **variables: str) -> str:
        started = self.ask(8080, f"/api/v1/scenarios/{scenario}/runs", {"variables": variables})
        assert started is not None, f"{scenario} was not started"
        return str(started["id"])

    def read_run(self, run: str) -> dict[str, Any]:
        return dict(self.ask(8080, f"/api/v1/runs/{run}") or {})

    def wait_for_end(self, run: str) -> tuple[str, str]:
        wait_for(lambda: self.read_run(run).get("finished_at"), what="the run has ended", seconds=600)
        ended = self.read_run(run)
        return str(ended["status"]), str(ended["rollback"])

    def exchange_works(self) -> bool:
        words = ("exec", "-T", "exchange", "python", "-c", ASK)
        try:
            return self.compose(*words).strip() == "200"
        except AssertionError:
            return False

    def find_process(self, service: str) -> tuple[int, str]:
        """The process of the service's container, and the image that it runs."""
        (container,) = self.compose("ps", "--quiet", service).split()
        found = self._engine.inspect(container)
        return int(found["State"]["Pid"]), str(found["Config"]["Image"])

    def count_outstanding(self) -> int:
        return len((self.ask(8080, "/api/v1/faults?outstanding=true") or {"items": ["unknown"]})["items"])


def timed(action: Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


@contextmanager
def way_out(engine: ContainerEngine) -> Iterator[None]:
    """Lets the engine's network reach what this machine reaches, but for this machine itself."""
    command = ["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback", str(engine.pid), "tap0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def make_images(engine: ContainerEngine) -> None:
    """Everything that a registry would have."""
    roots = {"python:3.13-slim": ("python", PYTHON), "debian-services:latest": ("services", SERVICES)}
    for name, (kind, packages) in roots.items():
        run_docker(
            engine, "import", "--change", f"ENV {trust_of_pip()}", str(find_root(kind, packages)), name
        )
    context = str(PROJECT / "benchmarks" / "containers")
    for target, name in STANDINS.items():
        run_docker(engine, "build", f"--target={target}", f"--tag={name}", context)


def override_images(image: str) -> str:
    return json.dumps({"services": {name: {"image": image} for name in ROLLED}})


def look_at_image(goals: Goals, engine: ContainerEngine) -> None:
    found = engine.ask("GET", f"/images/{IMAGE}/json")
    goals.at_most("the image", found["Size"] / 2**20, 250, "MiB")
    goals.at_least("  its user is 10001", int(found["Config"]["User"] == "10001"), 1)
    bill = json.loads(run_in(engine, "cat", found["Config"]["Labels"]["test-coordinator.sbom"]))
    for kind in ("pkg:pypi/", "pkg:deb/"):
        named = [component for component in bill["components"] if component["purl"].startswith(kind)]
        goals.at_least(f"  {kind} in its bill of materials", len(named), 20)
    look = "for program in cc gcc pip pip3 git curl; do command -v $program; done; find /opt/venv -name pip"
    goals.at_most("  compilers and installers", len(run_in(engine, "sh", "-c", f"{look}; true").split()), 0)
    said = run_in(engine, "sh", "-c", "python manage.py sweep_clusters 2>&1; true")
    goals.at_least("  it has the sweeper's role, too", int("no cluster is configured" in said), 1)


def run_in(engine: ContainerEngine, *command: str) -> str:
    """What the command prints in a container without network and rights, which can write nothing but /tmp."""
    rights = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    return run_docker(engine, "run", "--rm", *rights, IMAGE, *command)


def run_docker(engine: ContainerEngine, *words: str) -> str:
    environment = {**os.environ, "DOCKER_HOST": engine.url}
    command = ["docker", *words]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def begin(goals: Goals, system: Installation) -> None:
    services = [name for name in system.compose("config", "--services").split() if name != "grafana"]

    def up(*options: str) -> None:
        system.compose("up", "--detach", *options, *services)
        wait_for(lambda: system.ask(8080, "/api/v1/ready"), what="the coordinator is ready", seconds=900)

    goals.tell("compose up --build until ready: the image is built, too", timed(lambda: up("--build")), "s")
    system.compose("down")
    goals.at_most("compose up until ready: images are there", timed(up), 60, "s")


def carry_out(goals: Goals, system: Installation) -> None:
    said = system.manage("scenario", "run", "dependency-hangs", service="worker")
    goals.at_least("dependency-hangs by the guide's command: passed", int("PASSED" in said), 1)
    system.log_in()
    run = system.start("exchange-latency")
    goals.at_least(
        "exchange-latency over the API: passed", int(system.wait_for_end(run) == ("passed", "clean")), 1
    )


def kill_worker(goals: Goals, system: Installation) -> None:
    run = system.start("long")
    wait_for(lambda: not system.exchange_works(), what="the fault is injected")
    os.kill(system.find_process("worker")[0], signal.SIGKILL)
    undone = timed(lambda: wait_for(system.exchange_works, what="the fault is undone"))
    goals.at_most("worker killed in a fault: undone after", undone, LEASE_SECONDS + 5, "s")
    goals.at_least(
        "  its run: interrupted, clean", int(system.wait_for_end(run) == ("interrupted", "clean")), 1
    )
    wait_for(lambda: system.ask(8080, "/api/v1/ready"), what="the worker is back")


def scrape(goals: Goals, system: Installation) -> None:
    def query(promql: str) -> float:
        found = system.ask(9090, f"/api/v1/query?query={promql}")["data"]["result"]
        return sum(float(series["value"][1]) for series in found)

    wait_for(lambda: query("scenario_runs_total") >= 3, what="the runs are scraped")
    goals.at_least("runs that Prometheus has scraped", query("scenario_runs_total"), 3)
    wait_for(lambda: all_rules(system, "health") == {"ok"}, what="every rule was evaluated")
    active = system.ask(9090, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    goals.at_least("Alertmanagers that Prometheus sends to", len(active), 1)


def all_rules(system: Installation, field: str) -> set[str]:
    groups = system.ask(9090, "/api/v1/rules")["data"]["groups"]
    return {rule[field] for group in groups for rule in group["rules"]}


def fire_alert(goals: Goals, system: Installation) -> None:
    run = system.start("long")
    wait_for(lambda: not system.exchange_works(), what="the fault is injected")
    system.compose("stop", "exchange")
    assert system.ask(8080, f"/api/v1/runs/{run}/stop", {}) is not None, "the run was not stopped"

    def fires() -> bool:
        alerts = system.ask(9093, "/api/v2/alerts") or []
        return any(alert["labels"]["alertname"] == "CoordinatorOutstandingFault" for alert in alerts)

    waited = timed(lambda: wait_for(fires, what="Alertmanager has the alert", seconds=900))
    goals.tell("undo impossible: Alertmanager has CoordinatorOutstandingFault after", waited, "s")
    system.compose("start", "exchange")
    wait_for(lambda: system.count_outstanding() == 0, what="the fault is undone", seconds=600)
    goals.at_most("  outstanding once the service is back", system.count_outstanding(), 0)


def roll(goals: Goals, system: Installation, services: Sequence[str]) -> None:
    """A second tag, while a run goes on: its worker is told to stop."""
    run = system.start("long")
    wait_for(lambda: not system.exchange_works(), what="the fault is injected")
    system.compose("up", "--detach", *services, override=True)
    goals.at_least(
        "image rolled in a fault: interrupted, clean",
        int(system.wait_for_end(run) == ("interrupted", "clean")),
        1,
    )
    wait_for(lambda: system.ask(8080, "/api/v1/ready"), what="the new image is ready")
    images = {system.find_process(name)[1] for name in ("web", "worker", "watchdog")}
    goals.at_least(
        "  web, worker and watchdog have the new image", int(images == {"test-coordinator:next"}), 1
    )
    goals.at_least("  nothing is left broken", int(system.exchange_works()), 1)
    goals.at_most("  outstanding faults", system.count_outstanding(), 0)


def drain(goals: Goals, system: Installation, services: Sequence[str]) -> None:
    """Back to the first tag, by the guide's words: the run goes on to its end."""
    run = system.start("long", hold="10s")
    wait_for(lambda: not system.exchange_works(), what="the fault is injected")
    system.compose("kill", "--signal", "SIGUSR1", "worker")
    ended = system.wait_for_end(run)
    system.compose("up", "--detach", *services)
    goals.at_least("worker drained: its run passed", int(ended == ("passed", "clean")), 1)
    wait_for(lambda: system.ask(8080, "/api/v1/ready"), what="the first image is ready")
    goals.at_least("  the worker has the first image", int(system.find_process("worker")[1] == IMAGE), 1)


def main() -> int:
    goals = Goals()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compose-")))
        engine = stack.enter_context(docker_engine(storage_driver="overlay2"))
        stack.enter_context(way_out(engine))
        goals.tell("images made of Debian's packages", timed(lambda: make_images(engine)), "s")
        overrides = folder / "rolled.json"
        overrides.write_text(override_images("test-coordinator:next"))
        system = Installation(engine, overrides)
        begin(goals, system)
        look_at_image(goals, engine)
        run_docker(engine, "tag", IMAGE, "test-coordinator:next")
        system.manage("scenario", "import", "-", given=LONG)
        services = [name for name in system.compose("config", "--services").split() if name != "grafana"]
        carry_out(goals, system)
        kill_worker(goals, system)
        scrape(goals, system)
        fire_alert(goals, system)
        roll(goals, system, services)
        drain(goals, system, services)
        stopped = timed(lambda: system.compose("down", "--volumes"))
        goals.at_most("compose down", stopped, 90, "s")
        goals.at_most("containers left", len(engine.list_names()), 0)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
