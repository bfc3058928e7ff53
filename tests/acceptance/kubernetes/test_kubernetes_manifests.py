"""The manifests in deploy/, applied by the commands of the guide to a real API server."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.servers.coordinator import PROJECT
from tests.servers.documented import Page, with_values
from tests.servers.kube_apiserver import ApiServer, build_namespace

pytestmark = [pytest.mark.kube_apiserver, pytest.mark.kubectl]

NAMESPACE = "test-coordinator"
REGISTRY = "registry.example.org:5000/ours"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/test-coordinator"
(COMMANDS,) = (
    block.splitlines()
    for block in Page(PROJECT / "docs" / "operating.md").blocks("text")
    if "kubectl apply --kustomize" in block
)
UPGRADE = COMMANDS[2:]

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(api_server: ApiServer, tmp_path: Path) -> Run:
    """Runs a command of the guide, as the administrator, in a copy of deploy/."""
    shutil.copytree(PROJECT / "deploy", tmp_path / "deploy")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(api_server.kubeconfig),
    }

    def run(command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return run


def follow(shell: Run, server: ApiServer, lines: list[str], tag: str) -> None:
    """The commands, which must succeed. The last one waits for the Job, whose controller the test plays."""
    values = {"REGISTRY": REGISTRY, "TAG": tag, "=KEY": "=k7", "=ADDRESS": "=postgres://c@db.example.org/c"}
    *commands, wait = (with_values(line, values) for line in lines)
    for command in commands:
        done = shell(command)
        assert done.returncode == 0, done.stderr
    complete = {"type": "Complete", "status": "True"}
    server.merge(f"{JOBS}/test-coordinator-migrate-{tag}/status", {"status": {"conditions": [complete]}})
    done = shell(wait)
    assert done.returncode == 0, done.stderr


def read_images(server: ApiServer, path: str) -> set[str]:
    pod = server.ask("GET", path)["spec"]["template"]["spec"]
    return {each["image"] for each in [*pod.get("initContainers", []), *pod["containers"]]}


def test_new_tag_is_applied_with_a_job_of_its_own_and_every_overlay_is_accepted(
    api_server: ApiServer, shell: Run
) -> None:
    follow(shell, api_server, COMMANDS, "1.0.0")
    follow(shell, api_server, UPGRADE, "1.0.1")
    follow(shell, api_server, UPGRADE, "1.0.1")
    for tag in ("1.0.0", "1.0.1"):
        image = f"{REGISTRY}/test-coordinator:{tag}"
        assert read_images(api_server, f"{JOBS}/test-coordinator-migrate-{tag}") == {image}
    assert read_images(api_server, DEPLOYMENT) == {f"{REGISTRY}/test-coordinator:1.0.1"}
    # Which is why it has a name of its own.
    changed = shell(
        f"kubectl -n {NAMESPACE} set image job/test-coordinator-migrate-1.0.0 migrate=other:1.0.1"
    )
    assert "field is immutable" in changed.stderr

    api_server.ensure(build_namespace("shop"))
    for overlay in ("kubernetes-faults", "kubernetes-rq"):
        rendered = shell(f"kubectl kustomize deploy/{overlay}")
        assert rendered.returncode == 0, rendered.stderr
        documents = list(yaml.safe_load_all(rendered.stdout))
        for document in documents:
            if document["kind"] == "CronJob":
                document["apiVersion"] = "batch/v1beta1"  # as servers before 1.21 have it
        applied = shell(
            f"kubectl apply --dry-run=server --filename - <<'EOF'\n{yaml.safe_dump_all(documents)}\nEOF"
        )
        assert applied.returncode == 0, applied.stderr
        assert applied.stdout.count("(server dry run)") == len(documents)
