"""API servers that are overloaded, slow, away or something else: a sentence for each."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scenarios.checks import check_clusters
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers.kubernetes.arguments import KubernetesArguments
from scenarios.drivers.kubernetes.driver import Kubernetes
from tests.unit.scenarios.drivers.conftest import Platform, Respond, Serve

NO_PODS = {"kind": "Table", "columnDefinitions": [{"name": "Name"}], "rows": [{"cells": ["cart-0"]}]}


def build_answer(status: int, content: Any, *headers: str) -> bytes:
    body = json.dumps(content).encode()
    head = [f"HTTP/1.1 {status} Some", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def answering(*answers: bytes) -> Respond:
    """Each request gets the next answer; the last one is repeated."""
    left = list(answers)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(left.pop(0) if len(left) > 1 else left[0])

    return respond


async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10_000)
    await asyncio.sleep(600)


def use(settings: Any, folder: Path, server: str, **user: Any) -> None:
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "one", "user": "someone"}}],
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "someone", "user": user or {"token": "a-token-of-tests"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    settings.KUBERNETES_CONFIG = str(folder / "kubeconfig")


async def look(limit: str = "60s") -> dict[str, Any]:
    arguments = KubernetesArguments.model_validate({"namespace": "shop", "timeout": limit})
    return dict(await Kubernetes().probe(arguments, Platform()))


@pytest.mark.parametrize("status", [429, 503])
async def test_overloaded_server_is_asked_again_when_it_says(
    serve: Serve, settings: Any, tmp_path: Path, status: int
) -> None:
    overloaded = build_answer(status, {"kind": "Status"}, "Retry-After: 1")
    use(settings, tmp_path, await serve(answering(overloaded, overloaded, build_answer(200, NO_PODS))))
    seen = await look()
    assert seen["found"] == 1
    assert seen["elapsed"] >= 2.0


async def test_server_that_stays_overloaded_is_said(serve: Serve, settings: Any, tmp_path: Path) -> None:
    overloaded = build_answer(429, {"kind": "Status"}, "Retry-After: 90")
    use(settings, tmp_path, await serve(answering(overloaded)))
    with pytest.raises(StepNotDone, match="it is overloaded, and asks to be left alone for 1m30s") as raised:
        await look()
    assert raised.value.retry_after == 90


async def test_slow_server_is_said(serve: Serve, settings: Any, tmp_path: Path) -> None:
    use(settings, tmp_path, await serve(stay_silent))
    with pytest.raises(StepFailed, match="did not answer GET within 500ms"):
        await look("500ms")


async def test_server_that_is_away_is_said(closed_port: int, settings: Any, tmp_path: Path) -> None:
    use(settings, tmp_path, f"http://127.0.0.1:{closed_port}")
    with pytest.raises(StepNotSent, match="cannot be reached"):
        await look()


async def test_another_server_is_said(serve: Serve, settings: Any, tmp_path: Path) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    use(settings, tmp_path, await serve(answering(page)))
    with pytest.raises(StepFailed, match="is not the address of an API server"):
        await look()


async def test_error_of_the_server_is_said(serve: Serve, settings: Any, tmp_path: Path) -> None:
    broken = build_answer(500, {"kind": "Status", "message": "etcd is away"})
    use(settings, tmp_path, await serve(answering(broken)))
    with pytest.raises(StepFailed, match="answered 500 to list pods in namespace 'shop': 'etcd is away'"):
        await look()


async def test_command_of_the_kubeconfig_is_asked_again_for_a_token_that_is_refused(
    serve: Serve, settings: Any, tmp_path: Path
) -> None:
    command = tmp_path / "login"
    counted = tmp_path / "calls"
    token = '{"status": {"token": "of-the-command", "expirationTimestamp": "2999-01-01T00:00:00Z"}}'
    command.write_text(f"#!/bin/sh\necho call >> {counted}\necho '{token}'\n")
    command.chmod(0o755)
    refused = build_answer(401, {"kind": "Status", "reason": "Unauthorized"})
    url = await serve(answering(refused, build_answer(200, NO_PODS)))
    use(
        settings,
        tmp_path,
        url,
        exec={"command": str(command), "apiVersion": "client.authentication.k8s.io/v1"},
    )
    assert (await look())["found"] == 1
    assert counted.read_text().split() == ["call", "call"]
    assert (await look())["found"] == 1
    assert counted.read_text().split() == ["call", "call"]  # it is kept until it expires


async def test_command_that_fails_is_said(settings: Any, tmp_path: Path) -> None:
    use(settings, tmp_path, "http://127.0.0.1:1", exec={"command": "/bin/false"})
    with pytest.raises(StepNotSent, match="command '/bin/false' of the kubeconfig failed with exit code 1"):
        await look()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"current-context": ""}, "has no current-context"),
        ({"current-context": "other"}, "has no context 'other'; it has 'test'"),
        ({"clusters": []}, "has no cluster 'one'; it has none"),
        ({"clusters": [{"name": "one", "cluster": {"server": "10.0.0.1"}}]}, "has no 'server' that begins"),
        ({"users": [{"name": "someone", "user": {"auth-provider": {}}}]}, "has 'auth-provider'"),
        ({"users": [{"name": "someone", "user": {"client-key-data": "%"}}]}, "is not base64"),
        ({"contexts": None}, "is not a kubeconfig"),
    ],
)
async def test_kubeconfig_that_cannot_be_used_is_said(
    settings: Any, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    use(settings, tmp_path, "http://127.0.0.1:1")
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    with pytest.raises(StepImpossible, match=sentence):
        await look()


async def test_kubeconfig_that_is_not_there_is_said(settings: Any, tmp_path: Path) -> None:
    settings.KUBERNETES_CONFIG = str(tmp_path / "none")
    with pytest.raises(StepImpossible, match="none cannot be read: No such file"):
        await look()


async def test_no_cluster_is_said() -> None:
    with pytest.raises(StepImpossible, match="no cluster is configured: set KUBERNETES_CONFIG"):
        await look()


async def test_other_contexts_and_namespaces_than_the_settings_name_are_refused(
    settings: Any, tmp_path: Path
) -> None:
    use(settings, tmp_path, "http://127.0.0.1:1")
    settings.KUBERNETES_NAMESPACES = ("till",)
    with pytest.raises(StepImpossible, match="'shop' is not allowed: KUBERNETES_NAMESPACES names till"):
        await look()
    settings.KUBERNETES_NAMESPACES = ()
    arguments = KubernetesArguments.model_validate({"namespace": "shop", "cluster": "east"})
    with pytest.raises(StepImpossible, match="unknown cluster 'east'; choose one of 'test'"):
        await Kubernetes().probe(arguments, Platform())


def test_system_check_reports_a_kubeconfig_that_cannot_be_used(settings: Any, tmp_path: Path) -> None:
    assert check_clusters() == []
    settings.KUBERNETES_CONFIG = str(tmp_path / "none")
    (warning,) = check_clusters()
    assert warning.id == "scenarios.W003"
    assert "none cannot be read: No such file" in str(warning.msg)
    use(settings, tmp_path, "http://127.0.0.1:1")
    assert check_clusters() == []
