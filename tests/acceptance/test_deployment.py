"""The files in deploy/: what they name exists, what they start runs, what they stop may undo its faults."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from scenarios.engine.rollback import UNDO_DELAYS
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.manifests import DEPLOY, IMAGE, UNITS, Process, documents, of_kubernetes, processes

PROCESSES = processes()
TOOLS = Path(sys.executable).parent
OF_OTHERS = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.source)
def test_every_command_exists_and_takes_its_arguments(process: Process) -> None:
    program, *arguments = process.command
    assert (TOOLS / program).exists()
    if arguments[:1] == ["manage.py"]:
        name = arguments[1]
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(arguments[2:])


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.source)
def test_every_variable_is_described_in_the_example_of_an_environment(process: Process) -> None:
    described = re.findall(r"^#? ?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert process.environment.keys() - OF_OTHERS <= set(described)


def test_processes_that_may_hold_faults_have_time_to_undo_them_when_stopped() -> None:
    holders = [
        process
        for process in PROCESSES
        if {"db_worker", "rqworker", "watchdog"} & set(process.command)
        and not process.source.startswith("Dockerfile")
    ]
    assert len(holders) == 7
    assert all(process.stop_seconds > sum(UNDO_DELAYS) for process in holders)


def test_each_kind_of_installation_runs_web_worker_and_watchdog() -> None:
    for kind in ("compose", "test-coordinator", "kubernetes"):
        commands = [process.command for process in PROCESSES if process.source.startswith(kind)]
        words = {word for command in commands for word in command}
        assert {"gunicorn", "db_worker", "watchdog"} <= words, kind


def test_each_kind_of_installation_has_a_worker_for_the_queue_on_redis() -> None:
    """Overlays change the command and the queue's settings alone, of processes that the others have."""
    (overlay,) = documents(DEPLOY / "container" / "compose.rq.yaml")
    base = documents(DEPLOY / "container" / "compose.yaml")[0]["services"]
    for name in ("migrate", "web", "worker", "watchdog"):
        assert name in base
        assert overlay["services"][name]["environment"]["TASK_BACKEND"] == "rq"
    (patch,) = documents(DEPLOY / "kubernetes-rq" / "worker.yaml")
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    pod = documents(DEPLOY / "kubernetes" / "coordinator.yaml")[0]["spec"]["template"]["spec"]
    assert container["name"] in {each["name"] for each in pod["containers"]}
    for command in (overlay["services"]["worker"]["command"], container["args"]):
        assert command == ["python", "manage.py", "rqworker"]
    (kustomization,) = documents(DEPLOY / "kubernetes-rq" / "kustomization.yaml")
    named = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    files = {path.name for path in (DEPLOY / "kubernetes-rq").iterdir()} - {"kustomization.yaml"}
    assert named == {*files, "../kubernetes"}


def test_workers_are_drained_by_a_reload_of_their_unit_and_before_their_container_is_stopped() -> None:
    for unit in UNITS:
        if "worker" in unit.name:
            assert 'ExecReload=/bin/sh -c "kill -USR1 $MAINPID"\n' in unit.read_text()
    pod = documents(DEPLOY / "kubernetes" / "coordinator.yaml")[0]["spec"]["template"]["spec"]
    (worker,) = (each for each in pod["containers"] if each["name"] == "worker")
    program, manage, name, *options = worker["lifecycle"]["preStop"]["exec"]["command"]
    assert (program, manage) == ("python", "manage.py")
    command = load_command_class(get_commands()[name], name)
    wait = command.create_parser("manage.py", name).parse_args(options).wait
    assert pod["terminationGracePeriodSeconds"] - wait > sum(UNDO_DELAYS)


def test_the_image_runs_as_a_numbered_user_and_copies_what_is_there() -> None:
    text = (DEPLOY / "container" / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+)$", text, re.MULTILINE)
    assert int(user) >= 1000
    kept = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert {"requirements.txt", "manage.py", "gunicorn.conf.py"} <= set(kept)
    assert all((PROJECT / name).exists() for name in kept)


def test_compose_mounts_what_is_there() -> None:
    compose = documents(DEPLOY / "container" / "compose.yaml")[0]
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    sources = {mount.partition(":")[0] for mount in mounts}
    files = {source for source in sources if source.startswith(".")}
    assert files
    assert all((DEPLOY / "container" / source).exists() for source in files)
    assert sources - files == compose["volumes"].keys()


def test_compose_lets_ports_be_chosen() -> None:
    compose = documents(DEPLOY / "container" / "compose.yaml")[0]["services"]
    ports = [port for service in compose.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-(\d+)\}:\1", port) for port in ports)


def test_demo_of_compose_starts_each_service_that_its_command_registers() -> None:
    demo = documents(DEPLOY / "container" / "compose.demo.yaml")[0]["services"]
    command = load_command_class(get_commands()["set_up_demo"], "set_up_demo")
    options = vars(command.create_parser("manage.py", "set_up_demo").parse_args([]))
    registered = [urlsplit(options[name]) for name in ("exchange", "risk_monitor", "price_feed", "proxy")]
    assert all(f":{url.port}" in f":{':'.join(demo[url.hostname]['command'])}:" for url in registered)
    assert demo["demo"]["command"] == ["python", "manage.py", "set_up_demo"]
    for name in ("exchange", "risk-monitor"):
        words = demo[name]["command"][3:]
        service = load_command_class(get_commands()["demo_service"], "demo_service")
        service.create_parser("manage.py", "demo_service").parse_args(words)


ROUTED = sorted(DEPLOY.glob("*/prometheus*.yml"))


@pytest.mark.parametrize("path", ROUTED, ids=lambda path: path.stem)
def test_every_prometheus_sends_its_alerts_to_an_alertmanager(path: Path) -> None:
    (found,) = yaml.safe_load(path.read_text())["alerting"]["alertmanagers"]
    assert found["static_configs"][0]["targets"]


@pytest.mark.alertmanager
def test_alertmanager_accepts_the_shipped_configuration() -> None:
    file = DEPLOY / "prometheus" / "alertmanager.yml"
    checked = subprocess.run(
        ["amtool", "check-config", file], capture_output=True, text=True, check=False, timeout=600
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_migration_that_comes_before_its_database_is_tried_again_and_so_is_what_needs_it() -> None:
    services = documents(DEPLOY / "container" / "compose.yaml")[0]["services"]
    assert services["migrate"]["restart"] == "on-failure"
    assert {services[name]["restart"] for name in ("web", "worker", "watchdog")} == {"unless-stopped"}


def test_kubernetes_applies_each_manifest_but_the_example_of_a_secret() -> None:
    folder = DEPLOY / "kubernetes"
    (kustomization,) = documents(folder / "kustomization.yaml")
    others = {"kustomization.yaml", "secret.example.yaml"}
    assert {*kustomization["resources"], *others} == {path.name for path in folder.iterdir()}
    assert all("kind" in document for path in folder.iterdir() for document in documents(path))


def test_kubernetes_starts_pods_of_a_version_after_its_own_migration() -> None:
    pod = documents(DEPLOY / "kubernetes" / "coordinator.yaml")[0]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["args"][1:] == ["manage.py", "wait_for_migrations"]
    (job,) = documents(DEPLOY / "kubernetes" / "migrate.yaml")
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    (replacement,) = kustomization["replacements"]
    (target,) = replacement["targets"]
    assert target["select"] == {"kind": "Job", "name": job["metadata"]["name"]}
    place = target["options"]
    assert job["metadata"]["name"].split(place["delimiter"])[place["index"]] == "VERSION"
    tag = replacement["source"]["options"]
    assert f"{IMAGE}:1.2.3".split(tag["delimiter"])[tag["index"]] == "1.2.3"


def test_overlay_for_faults_of_kubernetes_names_each_of_its_files() -> None:
    folder = DEPLOY / "kubernetes-faults"
    (kustomization,) = documents(folder / "kustomization.yaml")
    named = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"])}
    optional = {"roles-of-nodes.yaml", "kustomization.yaml"}
    assert named | optional == {"../kubernetes", *(path.name for path in folder.iterdir())}
    (account,) = documents(folder / "account.yaml")
    (patch,) = documents(folder / "coordinator.yaml")
    (sweeper,) = documents(folder / "sweeper.yaml")
    pods = [patch["spec"]["template"]["spec"], sweeper["spec"]["jobTemplate"]["spec"]["template"]["spec"]]
    for pod in pods:
        assert pod["serviceAccountName"] == account["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is True
    bound = [each["subjects"][0] for each in documents(folder / "roles.yaml") if "subjects" in each]
    assert [(each["name"], each["namespace"]) for each in bound] == [
        (account["metadata"]["name"], account["metadata"]["namespace"])
    ]


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*/prometheus*.yml")), ids=lambda path: path.stem)
def test_every_scrape_configuration_keeps_the_name_of_the_job_and_the_labels(path: Path) -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(path.read_text())["scrape_configs"]}
    assert jobs["test-coordinator"]["honor_labels"] is True


def test_the_pod_of_the_kubernetes_manifests_becomes_ready_and_answers_as_in_production(
    tmp_path: Path,
) -> None:
    pod = [process for process in of_kubernetes() if process.source != "kubernetes migrate"]
    address = "10.1.2.3"
    here = {"DATA_DIR": str(tmp_path), "WEB_ADDRESS": "127.0.0.1", "SECRET_KEY": "k7!" * 20}
    wanted = {**pod[0].environment, **here, "SERVICE_INSTANCE_NAME": "pod-a"}
    wanted["ALLOWED_HOSTS"] = wanted["ALLOWED_HOSTS"].replace("$(POD_IP)", address)
    del wanted["DATABASE_URL"]  # SQLite, for the manifests leave the server's address open
    with coordinator(tmp_path, **wanted) as installed:
        installed.migrate()
        for process in pod:
            start(installed, process)
        wait_for(lambda: answer(installed, "/api/v1/ready", "localhost") == 200, what="the pod is ready")
        assert answer(installed, "/metrics", address) == 200
        assert answer(installed, "/metrics", "elsewhere.example.org") == 400
        assert answer(installed, "/static/admin/css/base.css", "coordinator.example.org", "https") == 200


def start(installed: Coordinator, process: Process) -> None:
    program, *arguments = process.command
    if process.stop_seconds:
        command = arguments if program == "python" else ["-m", program, *arguments]
        installed.start(process.source, *command)
    else:
        installed.manage(*arguments[1:])


def answer(installed: Coordinator, path: str, host: str, scheme: str = "http") -> int:
    headers = {"Host": host, "X-Forwarded-Proto": scheme}
    request = urllib.request.Request(f"http://127.0.0.1:{installed.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def test_the_deployment_check_passes_with_production_settings(tmp_path: Path) -> None:
    production = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "k7!" * 12 + "abcdefghijklmnop",
        "DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    result = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **production}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "module", ["scenarios.engine.engine", "scenarios.language.document", "metrics_app.ports"]
)
def test_the_inside_loads_neither_django_nor_prometheus(module: str) -> None:
    script = (
        f"import sys, {module}; loaded = {{name.split('.')[0] for name in sys.modules}}; "
        "sys.exit(', '.join({'django', 'prometheus_client'} & loaded) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
