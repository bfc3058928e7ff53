"""The real controllers of a namespace, and a scheduler and a kubelet that only write what real ones would.

Deployments get their pods from the controllers of Kubernetes itself, which also keep disruption budgets. No
container is started: the pods get a node, become ready, and end as soon as they are deleted.
"""

import threading
import urllib.error
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tests.servers.kube_apiserver import ApiServer, build_node, program, running

ROUND_SECONDS = 0.1
NOW = "2026-01-01T00:00:00Z"
READY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": NOW}],
    "containerStatuses": [
        {
            "name": "main",
            "ready": True,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "state": {"running": {"startedAt": NOW}},
        }
    ],
}


class Kubelet:
    """`seen` are the pods that there have been, by their label `app`. The first node is filled first."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self.nodes = [f"{namespace}-{number}" for number in range(2)]
        self.seen: dict[str, set[str]] = defaultdict(set)
        for node in self.nodes:
            server.apply(build_node(node))

    def act(self) -> None:
        """One round."""
        for pod in self._server.ask("GET", self._pods)["items"]:
            self.seen[pod["metadata"]["labels"]["app"]].add(pod["metadata"]["name"])
            with suppress(urllib.error.HTTPError):  # somebody has changed or deleted it
                self._act_on(pod)

    def _act_on(self, pod: Mapping[str, Any]) -> None:
        path = f"{self._pods}/{pod['metadata']['name']}"
        if pod["metadata"].get("deletionTimestamp"):
            self._server.ask("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            self._bind(path, pod["metadata"]["name"])
        elif pod["status"].get("phase") != "Running":
            self._server.merge(f"{path}/status", {"status": READY})

    def _bind(self, path: str, name: str) -> None:
        nodes = [self._server.ask("GET", f"/api/v1/nodes/{node}") for node in self.nodes]
        free = [node["metadata"]["name"] for node in nodes if not node["spec"].get("unschedulable")]
        if free:
            target = {"apiVersion": "v1", "kind": "Node", "name": free[0]}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            self._server.ask("POST", f"{path}/binding", binding)


@contextmanager
def controllers(server: ApiServer, namespace: str) -> Iterator[Kubelet]:
    """They act until the end of the block, and exceptions of the kubelet are raised there."""
    kubelet, stopped = Kubelet(server, namespace), threading.Event()
    problems: list[Exception] = []

    def play() -> None:
        try:
            while not stopped.wait(ROUND_SECONDS):
                kubelet.act()
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            problems.append(error)

    thread = threading.Thread(target=play)
    words = [str(program()), "controllers", str(server.kubeconfig), namespace]
    with running(words, server.folder, f"controllers-{namespace}"):
        thread.start()
        try:
            yield kubelet
        finally:
            stopped.set()
            thread.join()
    if problems:
        raise problems[0]
