"""The commands and environments in the files of deploy/."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.coordinator import PROJECT

DEPLOY = PROJECT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
IMAGE = "test-coordinator"


@dataclass(frozen=True)
class Process:
    """One that a file in deploy/ starts; `stop_seconds` is 0 where it ends by itself."""

    source: str
    command: list[str]
    environment: dict[str, str]
    stop_seconds: float = 0.0


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def list_manifests(overlay: str) -> list[dict[str, Any]]:
    """What `kubectl apply --kustomize deploy/OVERLAY` applies, and what its comments leave to choose."""
    base = {} if overlay == "kubernetes" else _index(list_manifests("kubernetes"))
    own = [
        document
        for path in sorted((DEPLOY / overlay).glob("*.yaml"))
        for document in documents(path)
        if document["kind"] != "Kustomization"
    ]
    for key, document in _index(own).items():
        base[key] = _merge(base[key], document) if key in base else document
    return list(base.values())


def _index(manifests: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests}


def _merge(base: Any, patch: Any) -> Any:
    """As kustomize merges a patch: lists of things with names by these names."""
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return {**base, **{word: _merge(base.get(word), value) for word, value in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list) and all("name" in each for each in [*base, *patch]):
        named = {each["name"]: each for each in base}
        return list(
            {**named, **{each["name"]: _merge(named.get(each["name"]), each) for each in patch}}.values()
        )
    return patch


def processes() -> list[Process]:
    return [*of_dockerfile(), *of_compose(), *of_systemd(), *of_kubernetes(), *of_kubernetes_faults()]


def of_dockerfile() -> Iterator[Process]:
    text = (DEPLOY / "container" / "Dockerfile").read_text().replace("\\\n", " ")
    environment = dict(
        pair.split("=", 1)
        for line in re.findall(r"^ENV (.+)$", text, re.MULTILINE)
        for pair in shlex.split(line)
    )
    for keyword in ("CMD", "HEALTHCHECK.+CMD"):
        found = re.search(rf"^{keyword} (\[.+\])$", text, re.MULTILINE)
        assert found
        yield Process(f"Dockerfile {keyword}", json.loads(found[1]), environment)


def of_compose() -> Iterator[Process]:
    services = documents(DEPLOY / "container" / "compose.yaml")[0]["services"]
    for name, service in services.items():
        if service["image"].startswith(f"{IMAGE}:"):
            stop = float(service.get("stop_grace_period", "0s").removesuffix("s"))
            yield Process(
                f"compose {name}", service.get("command", ["gunicorn"]), service["environment"], stop
            )


def of_systemd() -> Iterator[Process]:
    for path in UNITS:
        lines = [
            line.partition("=") for line in path.read_text().splitlines() if "=" in line and line[0] != "#"
        ]
        environment = dict(
            pair.split("=", 1)
            for key, _, value in lines
            if key == "Environment"
            for pair in shlex.split(value)
        )
        (stop,) = (float(value) for key, _, value in lines if key == "TimeoutStopSec")
        for key, _, value in lines:
            if key in {"ExecStart", "ExecStartPre"}:
                program, *arguments = shlex.split(value)
                command = [Path(program).name, *arguments]
                yield Process(f"{path.stem} {key}", command, environment, stop if key == "ExecStart" else 0.0)


def of_kubernetes_faults() -> Iterator[Process]:
    """What the overlay adds to the pods of `of_kubernetes`."""
    (sweeper,) = documents(DEPLOY / "kubernetes-faults" / "sweeper.yaml")
    yield from _read_pods([sweeper["spec"]["jobTemplate"]])


def of_kubernetes() -> Iterator[Process]:
    files = [
        *documents(DEPLOY / "kubernetes" / "coordinator.yaml"),
        *documents(DEPLOY / "kubernetes" / "migrate.yaml"),
    ]
    yield from _read_pods(files)


def _read_pods(files: list[dict[str, Any]]) -> Iterator[Process]:
    common = documents(DEPLOY / "kubernetes" / "configuration.yaml")[0]["data"]
    common |= documents(DEPLOY / "kubernetes" / "secret.example.yaml")[0]["stringData"]
    for document in files:
        if "template" not in document["spec"]:
            continue
        pod = document["spec"]["template"]["spec"]
        stop = float(pod.get("terminationGracePeriodSeconds", 0))
        for kind in ("initContainers", "containers"):
            for container in pod.get(kind, []):
                own = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
                # Names that other values are made of are Kubernetes's, not ours.
                made_of = set(re.findall(r"\$\((\w+)\)", " ".join(own.values())))
                environment = common | {name: value for name, value in own.items() if name not in made_of}
                seconds = stop if kind == "containers" else 0.0
                yield Process(f"kubernetes {container['name']}", container["args"], environment, seconds)
