"""A real API server of Kubernetes with its etcd, for tests: no nodes, no controllers, no kubelet.

What these would do, such as making pods ready, a test does itself.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.servers.loopback import free_port, wait_for

VERSION = "1.20.2-3"
ADMIN = "tests-admin-token"
LIMITED = "tests-limited-token"
LIMITED_USER = "limited"
NOT_FOUND, CONFLICT = 404, 409
BUILD_SECONDS = 840.0


def find_kept() -> str:
    """Where .ci/build-kube-apiserver keeps what it builds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return os.environ.get("KUBE_APISERVER") or str(cache / "test-coordinator" / f"kube-apiserver-{VERSION}")


def program() -> str | None:
    """What .ci/build-kube-apiserver has built; only with etcd."""
    kept = find_kept()
    return kept if os.access(kept, os.X_OK) and shutil.which("etcd") else None


def is_being_built() -> bool:
    try:
        return Path(f"/proc/{int(Path(f'{find_kept()}.building').read_text())}").exists()
    except (OSError, ValueError):
        return False


def can_be_had() -> bool:
    """Now, or once .ci/build-kube-apiserver has ended, which .ci/run starts beside the tests."""
    return program() is not None or (shutil.which("etcd") is not None and is_being_built())


class ApiServer:
    """`kubeconfig` is that of an administrator, `limited` one of a user without any rights."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.server = f"https://127.0.0.1:{port}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.limited = folder / "limited.kubeconfig"
        self._context: SSLContext | None = None

    def write_kubeconfigs(self) -> None:
        for path, token in ((self.kubeconfig, ADMIN), (self.limited, LIMITED)):
            self.write_kubeconfig(path, token)

    def write_kubeconfig(self, path: Path, token: str) -> None:
        authority = str(self.folder / "certificates" / "apiserver.crt")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {"name": "one", "cluster": {"server": self.server, "certificate-authority": authority}}
            ],
            "users": [{"name": "someone", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "one", "user": "someone"}}],
        }
        path.write_text(yaml.safe_dump(config))

    def ask(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """As the administrator."""
        if self._context is None:
            self._context = create_default_context(cafile=str(self.folder / "certificates" / "apiserver.crt"))
        request = urllib.request.Request(
            self.server + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type},
        )
        with urllib.request.urlopen(request, timeout=300, context=self._context) as answer:
            content: dict[str, Any] = json.load(answer)
            return content

    def apply(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create the object."""
        return self.ask("POST", _find_path(document), dict(document))

    def ensure(self, document: Mapping[str, Any]) -> None:
        """Create the object, unless another test has."""
        try:
            self.apply(document)
        except urllib.error.HTTPError as error:
            if error.code != CONFLICT:
                raise

    def get(self, path: str) -> dict[str, Any] | None:
        try:
            return self.ask("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    def merge(self, path: str, body: Any) -> dict[str, Any]:
        return self.ask("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        self.ask("DELETE", path)

    def is_ready(self) -> bool:
        try:
            return bool(self.ask("GET", "/api/v1/namespaces/default"))
        except (OSError, ValueError):
            return False


def _find_path(document: Mapping[str, Any]) -> str:
    version, kind = document["apiVersion"], document["kind"]
    plural = {"NetworkPolicy": "networkpolicies"}.get(kind, f"{kind.lower()}s")
    namespace = document["metadata"].get("namespace")
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else f"{base}/{plural}"


@contextmanager
def kube_apiserver(folder: Path) -> Iterator[ApiServer]:
    if os.environ.get("CI") or is_being_built():
        wait_for(program, what=".ci/build-kube-apiserver has built kube-apiserver", seconds=BUILD_SECONDS)
    binary = program()
    assert binary is not None, "kube-apiserver is missing: .ci/build-kube-apiserver builds it"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        etcd_port = stack.enter_context(_etcd(folder))
        server = ApiServer(folder, free_port())
        (folder / "tokens.csv").write_text(f'{ADMIN},admin,1,"system:masters"\n{LIMITED},{LIMITED_USER},2\n')
        _write_key(folder / "accounts.key")
        stack.enter_context(running(_build_command(binary, folder, server, etcd_port), folder, "apiserver"))
        wait_for((folder / "certificates" / "apiserver.crt").exists, what="the API server has a certificate")
        server.write_kubeconfigs()
        wait_for(server.is_ready, what="the API server is ready")
        yield server


def _build_command(binary: str, folder: Path, server: ApiServer, etcd_port: int) -> list[str]:
    key = folder / "accounts.key"
    return [
        binary,
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={server.server.rpartition(':')[2]}",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://tests.example.org",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
        "--feature-gates=APIPriorityAndFairness=false",
    ]


@contextmanager
def _etcd(folder: Path) -> Iterator[int]:
    client, peer = free_port(), free_port()
    command = [
        str(shutil.which("etcd")),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    if "--unsafe-no-fsync" not in _read_help(command[0]):
        command.remove("--unsafe-no-fsync")
    with running(command, folder, "etcd"):
        yield client


def _read_help(binary: str) -> str:
    shown = subprocess.run([binary, "--help"], capture_output=True, text=True, check=False, timeout=600)
    return shown.stdout + shown.stderr


@contextmanager
def running(command: list[str], folder: Path, name: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def build_deployment(name: str, namespace: str, replicas: int = 3) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.org/shop"}]},
            },
        },
    }


def build_pod(
    name: str, namespace: str, app: str, node: str = "", owner: str = "ReplicaSet"
) -> dict[str, Any]:
    """A pod of a controller, which nothing starts."""
    owners = [
        {"apiVersion": "apps/v1", "kind": owner, "name": app, "uid": f"{app}-{owner}", "controller": True}
    ]
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "example.org/shop"}]}
    if node:
        # Deleted at once, because no kubelet ends it.
        spec |= {"nodeName": node, "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": app},
            "ownerReferences": owners if owner else [],
        },
        "spec": spec,
    }


def build_namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def build_node(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"zone": name[-1]}}}


def wait_until(moment: float) -> None:
    """Until this time of `time.monotonic`."""
    time.sleep(max(0.0, moment - time.monotonic()))
