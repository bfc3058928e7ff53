"""The shipped compose files, carried out in a container engine of their own.

No registry of images is asked: what the image is built on is made of Debian's packages, and PostgreSQL,
Prometheus, Alertmanager and Redis are this machine's own. Grafana is left out. The engine has a network of
its own, from which builds reach a package index.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from coordinator_site import __version__
from tests.servers import container_engine, own_programs
from tests.servers.container_engine import ContainerEngine, docker_engine
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import wait_for

FOLDER = PROJECT / "deploy" / "container"
FILES = ("compose.yaml", "compose.demo.yaml")
QUEUE = FOLDER / "compose.rq.yaml"
IMAGE = f"test-coordinator:{__version__}"
NEXT_IMAGE = "test-coordinator:next"
BASE = "docker.io/library/python:3.13-slim"
ROLLED = ("migrate", "web", "worker", "watchdog")
# No registry has it that tests can reach.
LEFT_OUT = "grafana"
SECRETS = {
    "POSTGRES_PASSWORD": "trial",
    "GRAFANA_PASSWORD": "trial",
    "FAULT_PROXY_TOKEN": "long-random-text",
    "DJANGO_SUPERUSER_PASSWORD": "trial-of-compose",
}
WEB, PROMETHEUS, ALERTMANAGER = 8080, 9090, 9093
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
NEXT_MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("scenarios", "{last}")]
    operations = [migrations.RunSQL("CREATE TABLE of_the_next_release (id integer)")]
"""
RECEIVE = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("", 9095), Handler).serve_forever()
"""


@lru_cache(maxsize=1)
def can_be_had() -> bool:
    programs = all(map(shutil.which, ("docker", "docker-compose", "mmdebstrap", "slirp4netns", "curl")))
    return programs and container_engine.can_be_had()


class ComposeProject:
    """The project in its engine; `program` are the words before those of compose."""

    def __init__(
        self, engine: ContainerEngine, *files: Path, program: Sequence[str] = ("docker-compose",)
    ) -> None:
        self.engine = engine
        self.files = [*(FOLDER / name for name in FILES), *files]
        self.options_of_up: Sequence[str] = ()
        self._program = program
        self._token = ""

    def compose(self, *words: str, given: str = "") -> str:
        """What this command prints, which must succeed."""
        files = [f"--file={file}" for file in self.files]
        done = subprocess.run(
            [*self._program, *files, *words],
            input=given,
            env={**os.environ, **SECRETS, "DOCKER_HOST": self.engine.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def list_services(self) -> list[str]:
        """Without Grafana. Not by `config --services`, which not every program has."""
        documents = [yaml.safe_load(file.read_text()) for file in self.files]
        names = {name: None for document in documents for name in document["services"]}
        return [name for name in names if name != LEFT_OUT]

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", *self.options_of_up, *options, *self.list_services())
        self.wait_until_ready()

    def down(self) -> None:
        """With its volumes: the engine then has nothing that compose has made."""
        self.compose("down", "--volumes")
        networks = [network["Name"] for network in self.engine.ask("GET", "/networks")]
        volumes = self.engine.ask("GET", "/volumes")["Volumes"] or ()
        left = [name for name in networks if name.startswith("test-coordinator")]
        left += [*self.engine.list_names(), *(volume["Name"] for volume in volumes)]
        assert left == [], f"left by compose: {left}"

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.ask(WEB, "/api/v1/ready"), what="the coordinator is ready", seconds=900)

    def manage(self, *words: str, given: str = "", service: str = "web") -> str:
        return self.compose("exec", "-T", service, "python", "manage.py", *words, given=given)

    def ask(self, port: int, path: str, body: Any = None) -> Any:
        """What answers at this port, which compose publishes; None if nothing does, or with an error."""
        command = [*self.engine.inside, "curl", "--silent", "--fail", "--max-time", "60"]
        if self._token:
            command += ["--header", f"Authorization: Bearer {self._token}"]
        if body is not None:
            command += ["--data", json.dumps(body)]
        url = f"http://127.0.0.1:{port}{path}"
        done = subprocess.run([*command, url], capture_output=True, text=True, check=False, timeout=120)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def log_in(self) -> None:
        """A superuser, and a token of the API, as the guides say."""
        create = ("createsuperuser", "--noinput", "--username=sam", "--email=sam@example.com")
        self.compose("exec", "-T", "-e", "DJANGO_SUPERUSER_PASSWORD", "web", "python", "manage.py", *create)
        scopes = ("--scope", "read", "--scope", "run", "--scope", "stop")
        created = self.manage("api_token", "create", "sam", "--name", "trial", *scopes)
        self._token = created.strip().split()[-1]

    def start(self, scenario: str, **variables: str) -> str:
        started = self.ask(WEB, f"/api/v1/scenarios/{scenario}/runs", {"variables": variables})
        assert started is not None, f"{scenario} was not started"
        return str(started["id"])

    def stop(self, run: str) -> None:
        assert self.ask(WEB, f"/api/v1/runs/{run}/stop", {}) is not None, f"{run} was not stopped"

    def break_orders(self) -> str:
        """The id of a run whose fault is injected, and stays so."""
        run = self.start("long")
        wait_for(lambda: not self.orders_work(), what="the fault is injected")
        return run

    def kill_worker(self) -> tuple[str, str]:
        """In its fault, which the watchdog undoes; how its run ended, and its rollback."""
        run = self.break_orders()
        os.kill(self.find_process("worker")[0], signal.SIGKILL)
        wait_for(self.orders_work, what="the fault is undone")
        return self.wait_for_end(run)

    def orders_work(self) -> bool:
        try:
            return self.compose("exec", "-T", "exchange", "python", "-c", ASK).strip() == "200"
        except AssertionError:
            return False

    def wait_for_end(self, run: str) -> tuple[str, str]:
        """How the run ended, and its rollback."""

        def read() -> dict[str, Any]:
            return dict(self.ask(WEB, f"/api/v1/runs/{run}") or {})

        wait_for(lambda: read().get("finished_at"), what="the run has ended", seconds=600)
        ended = read()
        return str(ended["status"]), str(ended["rollback"])

    def find_process(self, service: str) -> tuple[int, str]:
        """The process of the service's container, and the image that it runs."""
        found = self.engine.inspect(self.engine.find(f"com.docker.compose.service={service}"))
        return int(found["State"]["Pid"]), str(found["Config"]["Image"])

    def count_outstanding(self) -> int:
        return len((self.ask(WEB, "/api/v1/faults?outstanding=true") or {"items": ["unknown"]})["items"])

    def list_alerts(self) -> set[tuple[str, str]]:
        """The names and statuses of the alerts that have reached the receiver."""
        printed = self.compose("logs", "--no-color", "--no-log-prefix", "receiver")
        messages = [json.loads(line) for line in re.findall(r"\{.+\}", printed)]
        alerts = [alert for message in messages for alert in message["alerts"]]
        return {(alert["labels"]["alertname"], alert["status"]) for alert in alerts}

    def query(self, promql: str) -> float:
        """The sum of what Prometheus has."""
        found = self.ask(PROMETHEUS, f"/api/v1/query?query={promql}")["data"]["result"]
        return sum(float(series["value"][1]) for series in found)

    def list_rules(self) -> list[dict[str, Any]]:
        groups = self.ask(PROMETHEUS, "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def compose_engine() -> Iterator[ContainerEngine]:
    """A dockerd that can build, with the programs that a registry would have."""
    with docker_engine(storage_driver="overlay2") as engine, way_out(engine):
        own_programs.make_images(engine)
        yield engine


@contextmanager
def way_out(engine: ContainerEngine) -> Iterator[None]:
    """Lets the engine's network reach what this machine reaches, but for this machine itself."""
    options = ("--configure", "--mtu=1500", "--disable-host-loopback")
    command = ["setpriv", "--pdeathsig", "TERM", "--", "slirp4netns", *options, str(engine.pid), "tap0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def write_mounts(file: Path, *, queue: bool = False) -> Path:
    """The compose file that gives the services of `own_programs` their programs."""
    names = own_programs.list_stand_ins().keys() - (() if queue else {"redis"})
    return write_compose(file, own_programs.mount_programs(names))


def write_compose(file: Path, services: Mapping[str, Any]) -> Path:
    file.write_text(json.dumps({"services": services}))
    return file


def write_receiver(folder: Path) -> Path:
    """The compose file of a receiver of the shipped alerts, for which a minute is a second."""
    shipped = PROJECT / "deploy" / "prometheus"
    rules, routes = folder / "rules", folder / "alertmanager.yml"
    shutil.copytree(shipped / "rules", rules)
    alerts = rules / "alerts.yml"
    alerts.write_text(alerts.read_text().replace("for: 1m", "for: 1s"))
    text = re.sub(
        r"- url: \S+", "- url: http://receiver:9095/alerts", (shipped / "alertmanager.yml").read_text()
    )
    routes.write_text(re.sub(r"(group_\w+): \w+", r"\1: 1s", text))
    receiver = {"image": IMAGE, "command": ["python", "-c", RECEIVE], "healthcheck": {"disable": True}}
    services = {
        "prometheus": {"volumes": [f"{rules}:/etc/prometheus/rules:ro"]},
        "alertmanager": {"volumes": [f"{routes}:/etc/alertmanager/alertmanager.yml:ro"]},
        "receiver": receiver,
    }
    return write_compose(folder / "receiver.json", services)


def write_next_release(folder: Path) -> Path:
    """The compose file of a next release, whose image has one migration more."""
    last = max(path.stem for path in (PROJECT / "scenarios" / "migrations").glob("0*.py"))
    (folder / "0999_next.py").write_text(NEXT_MIGRATION.format(last=last))
    (folder / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY 0999_next.py scenarios/migrations/\n")
    service = {"image": NEXT_IMAGE, "build": {"context": str(folder), "dockerfile": "Dockerfile"}}
    return write_compose(folder / "next.json", dict.fromkeys(ROLLED, service))
