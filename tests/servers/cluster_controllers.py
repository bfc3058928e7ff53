"""Plays the controllers and kubelets of a namespace: Deployments get their pods, which become ready."""

import threading
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tests.servers.kube_apiserver import ApiServer, build_pod

ROUND_SECONDS = 0.1


class Controllers:
    """`deleted` counts the pods that others have deleted, which are replaced."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._namespace = namespace
        self._number = 0
        self._known: set[str] = set()
        self.deleted = 0
        self.fewest: dict[str, int] = {}

    def act(self) -> None:
        """One round."""
        pods = self._list_pods()
        for deployment in self._server.ask("GET", self._deployments)["items"]:
            own = [pod for pod in pods if pod["metadata"]["labels"]["app"] == deployment["metadata"]["name"]]
            self._replicate(deployment, own)
        self._list_pods()

    def _list_pods(self) -> list[dict[str, Any]]:
        """Those that there are; counts those that others have deleted since."""
        pods: list[dict[str, Any]] = self._server.ask("GET", self._pods)["items"]
        names = {pod["metadata"]["name"] for pod in pods}
        self.deleted += len(self._known - names)
        self._known = names
        return pods

    def _replicate(self, deployment: Mapping[str, Any], pods: list[dict[str, Any]]) -> None:
        name, wanted = deployment["metadata"]["name"], deployment["spec"]["replicas"]
        self.fewest[name] = min(wanted, self.fewest.get(name, wanted))
        for pod in pods[wanted:]:
            self._known.discard(pod["metadata"]["name"])
            with suppress(urllib.error.HTTPError):
                self._server.delete(f"{self._pods}/{pod['metadata']['name']}")
        for _ in range(wanted - len(pods)):
            self._number += 1
            pod = build_pod(f"{name}-{self._number}", self._namespace, name)
            self._server.apply(pod)
            self._known.add(pod["metadata"]["name"])
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        status = {
            "name": "main",
            "ready": True,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "state": running,
        }
        for pod in pods[:wanted]:
            if pod["status"].get("phase") != "Running":
                body = {"status": {"phase": "Running", "containerStatuses": [status]}}
                with suppress(urllib.error.HTTPError):  # somebody has deleted it
                    self._server.merge(f"{self._pods}/{pod['metadata']['name']}/status", body)
        ready = min(wanted, len(pods))
        counts = {"replicas": ready, "readyReplicas": ready, "availableReplicas": ready}
        if {word: deployment["status"].get(word, 0) for word in counts} != counts:
            self._server.merge(f"{self._deployments}/{name}/status", {"status": counts})


@contextmanager
def controllers(server: ApiServer, namespace: str) -> Iterator[Controllers]:
    """They act until the end of the block, and their exceptions are raised there."""
    playing, stopped = Controllers(server, namespace), threading.Event()
    problems: list[Exception] = []

    def play() -> None:
        try:
            while not stopped.wait(ROUND_SECONDS):
                playing.act()
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            problems.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield playing
    finally:
        stopped.set()
        thread.join()
    if problems:
        raise problems[0]
