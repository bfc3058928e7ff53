"""Requests to the API server of a cluster.

The REST API is asked directly, by the HTTP client that all drivers use: docs/kubernetes.md says why.
aiohttp is imported when a step runs: importing it takes 0.3 s, too long for web requests and commands.
"""

import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.own_threads import run_in_own_thread
from scenarios.drivers.kubernetes.clusters import NoCluster, Tls, read_cluster
from scenarios.drivers.kubernetes.refusals import Refusal, Request
from scenarios.drivers.kubernetes.resources import Resource
from scenarios.drivers.kubernetes.transport import Object, Transport

PAGE = 500
MAX_CONNECTIONS = 16
JSON_PATCH = "application/json-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Client:
    """The operations of one API server."""

    def __init__(self, transport: Transport) -> None:
        self.cluster = transport.cluster
        self.name = transport.name
        self._transport = transport

    @property
    def left(self) -> float:
        """How many of the seconds are left."""
        return self._transport.left

    def now(self) -> datetime:
        """The time by the server's clock, as of its last answer, on which all users of the cluster agree."""
        return self._transport.now()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """The object; None if no object has this name."""
        asked = Request("get", resource, namespace, name)
        try:
            return await self._transport.send("GET", asked)
        except Refusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def list_objects(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        at_most: int | None = None,
    ) -> list[Object]:
        """The objects that both selectors match, page by page; with `at_most`, only the first ones."""
        asked = Request("list", resource, namespace)
        words = {"limit": str(at_most or PAGE), "labelSelector": labels, "fieldSelector": fields}
        found: list[Object] = []
        while True:
            answer = await self._transport.send("GET", asked, words)
            found += answer.get("items") or []
            following = (answer.get("metadata") or {}).get("continue")
            if not following or at_most is not None:
                return found
            words["continue"] = following

    async def read_table(
        self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        """What `kubectl get` shows, a mapping for each object: a tenth of the bytes of the objects."""
        asked = Request("list", resource, namespace)
        words = {"includeObject": "None", "labelSelector": labels, "fieldSelector": fields}
        answer = await self._transport.send("GET", asked, words, accept=TABLE)
        columns = [column.get("name") for column in answer.get("columnDefinitions") or ()]
        return [dict(zip(columns, row.get("cells") or (), strict=False)) for row in answer.get("rows") or ()]

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Object],
        *,
        dry_run: bool = False,
    ) -> Object:
        """The object after a JSON Patch. The server answers 422 where a `test` in it fails."""
        asked = Request("patch", resource, namespace, name)
        words = {"dryRun": "All"} if dry_run else {}
        return await self._transport.send(
            "PATCH", asked, words, body=list(operations), content_type=JSON_PATCH
        )

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        content: Object,
        *,
        of: str = "",
        subresource: str = "",
    ) -> Object:
        """Create the object, or the `subresource` of the object `of`."""
        asked = Request("create", resource, namespace, of, subresource)
        return await self._transport.send("POST", asked, body=content)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str = "",
        grace: float | None = None,
    ) -> bool:
        """Delete the object, if it is still the one with this `uid`; returns False if it does not exist."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = round(grace)
        asked = Request("delete", resource, namespace, name)
        try:
            await self._transport.send("DELETE", asked, body=options)
        except Refusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND or (uid and refusal.status == HTTPStatus.CONFLICT):
                return False
            raise
        return True

    async def read_resources(self, api_version: str) -> list[Object]:
        """What the server says about the resources of an API version; empty if it has no such version."""
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        group, _, version = api_version.rpartition("/")
        asked = Request("get", Resource(group, version, "", "", is_namespaced=False), None)
        try:
            answer = await self._transport.send("GET", asked, path=path)
        except Refusal as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return []
            raise
        return list(answer.get("resources") or ())


@asynccontextmanager
async def connected(name: str | None, seconds: float) -> AsyncIterator[Client]:
    """A client of the cluster, as the settings name it now.

    Raises:
        StepImpossible: they name no such cluster, or its certificates cannot be used.
    """
    import aiohttp  # noqa: PLC0415

    try:
        # In a thread, because the files may be on a file system that hangs.
        cluster = await run_in_own_thread(partial(read_cluster, name))
        context = _build_context(cluster.tls) if cluster.server.startswith("https://") else None
    except (NoCluster, ssl.SSLError, ValueError) as error:
        what = "" if isinstance(error, NoCluster) else "a certificate or key of the kubeconfig is not valid: "
        raise StepImpossible(f"{what}{error}") from error
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context if context is not None else True, limit=MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )
    async with session:
        yield Client(Transport(cluster, session, seconds))


@lru_cache(maxsize=16)
def _build_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.authority or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        # Python reads client certificates only from files.
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{tls.certificate}\n{tls.key}")
            file.flush()
            context.load_cert_chain(file.name)
    return context
