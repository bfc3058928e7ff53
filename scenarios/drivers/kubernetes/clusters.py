"""The clusters that the settings name: a kubeconfig, or the service account of the pod that this runs in.

The files are read again for each use, so that a token or certificate that was replaced takes effect.
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings

IN_CLUSTER = "in-cluster"
ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_FILE_BYTES = 4 * 1024 * 1024
_REFUSED_USER_WORDS = ("auth-provider", "username")


class NoCluster(ValueError):  # noqa: N818 - a state, as in Django's ImproperlyConfigured
    """The settings name no cluster, or one that cannot be used; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A command that prints a token. https://kubernetes.io/docs/reference/access-authn-authz/authentication/"""

    command: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    api_version: str
    folder: str


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts; "" for the certificates that the machine trusts, and for no certificate of a client."""

    authority: str = ""
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    server_name: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Cluster:
    """`name` is that of the context; `token` or `plugin` says who asks."""

    name: str
    server: str
    tls: Tls
    token: str = field(default="", repr=False)
    plugin: ExecPlugin | None = None


def list_clusters() -> list[str]:
    """The names that steps may use; the first is that of steps without `cluster`.

    Raises:
        NoCluster: the settings name none.
    """
    if not settings.KUBERNETES_CONFIG:
        if not (ACCOUNT_DIR / "token").exists():
            raise NoCluster(
                "no cluster is configured: set KUBERNETES_CONFIG to the path of a kubeconfig, or run in a "
                "pod with a service account"
            )
        return [IN_CLUSTER]
    if settings.KUBERNETES_CONTEXTS:
        return list(settings.KUBERNETES_CONTEXTS)
    current = _read_kubeconfig(Path(settings.KUBERNETES_CONFIG)).get("current-context")
    if not isinstance(current, str) or not current:
        raise NoCluster(
            f"{settings.KUBERNETES_CONFIG} has no current-context: name the contexts that scenarios may use "
            "in KUBERNETES_CONTEXTS"
        )
    return [current]


def find_cluster_name(name: str | None) -> str:
    """The name of the cluster that a step with this `cluster` uses.

    Raises:
        NoCluster: the settings do not name it.
    """
    known = list_clusters()
    if name is None:
        return known[0]
    if name not in known:
        raise NoCluster(f"unknown cluster {name!r}; choose one of {', '.join(map(repr, known))}")
    return name


def read_cluster(name: str | None = None) -> Cluster:
    """How the cluster is reached now.

    Raises:
        NoCluster: the settings do not name it, or its configuration cannot be used.
    """
    found = find_cluster_name(name)
    if not settings.KUBERNETES_CONFIG:
        return _read_account()
    path = Path(settings.KUBERNETES_CONFIG)
    return _read_context(_read_kubeconfig(path), found, path)


def _read_account() -> Cluster:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST", ""),
        os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    if not host:
        raise NoCluster("KUBERNETES_SERVICE_HOST is missing, which every container of a pod has")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    token = _read_text(ACCOUNT_DIR / "token").strip()
    tls = Tls(authority=_read_text(ACCOUNT_DIR / "ca.crt"))
    return Cluster(IN_CLUSTER, f"https://{place}", tls, token)


def _read_kubeconfig(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(_read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise NoCluster(f"{path} is not YAML") from error
    if not isinstance(content, dict) or not isinstance(content.get("contexts"), list):
        raise NoCluster(f"{path} is not a kubeconfig: it has no list of 'contexts'")
    return content


def _read_context(config: Mapping[str, Any], name: str, path: Path) -> Cluster:
    context = _find_entry(config, "contexts", "context", name, path)
    cluster = _find_entry(config, "clusters", "cluster", context.get("cluster"), path)
    user = _find_entry(config, "users", "user", context["user"], path) if context.get("user") else {}
    server = cluster.get("server")
    if not isinstance(server, str) or urlsplit(server).scheme not in {"http", "https"}:
        raise NoCluster(
            f"the cluster of context {name!r} in {path} has no 'server' that begins with https://"
        )
    if refused := next((word for word in _REFUSED_USER_WORDS if word in user), None):
        raise NoCluster(
            f"the user of context {name!r} in {path} has {refused!r}, which current versions of Kubernetes "
            "do not accept: use a token, a certificate or an 'exec' plugin"
        )
    if cluster.get("proxy-url"):
        raise NoCluster(
            f"the cluster of context {name!r} in {path} has 'proxy-url': it must be reached directly"
        )
    folder = path.parent
    tls = Tls(
        authority=_read_part(cluster, "certificate-authority", folder),
        certificate=_read_part(user, "client-certificate", folder),
        key=_read_part(user, "client-key", folder),
        server_name=str(cluster.get("tls-server-name") or ""),
        verify=cluster.get("insecure-skip-tls-verify") is not True,
    )
    token = str(user.get("token") or "")
    if user.get("tokenFile"):
        token = _read_text(folder / str(user["tokenFile"])).strip()
    return Cluster(name, server.rstrip("/"), tls, token, _read_plugin(user.get("exec"), folder))


def _find_entry(
    config: Mapping[str, Any], words: str, word: str, name: object, path: Path
) -> Mapping[str, Any]:
    entries = config.get(words)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(word), dict):
            found: Mapping[str, Any] = entry[word]
            return found
    known = ", ".join(repr(entry.get("name")) for entry in entries or () if isinstance(entry, dict)) or "none"
    raise NoCluster(f"{path} has no {word} {name!r}; it has {known}")


def _read_part(owner: Mapping[str, Any], word: str, folder: Path) -> str:
    """The PEM text that is given as `WORD-data`, in base64, or as the path of a file."""
    if data := owner.get(f"{word}-data"):
        try:
            return base64.b64decode(str(data), validate=True).decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise NoCluster(f"'{word}-data' of the kubeconfig is not base64 of a PEM text") from error
    return _read_text(folder / str(owner[word])) if owner.get(word) else ""


def _read_plugin(written: object, folder: Path) -> ExecPlugin | None:
    if not isinstance(written, dict):
        return None
    command = str(written.get("command") or "")
    if os.sep in command:  # https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#ExecConfig
        command = str(folder / command)
    environment = tuple((str(each["name"]), str(each["value"])) for each in written.get("env") or ())
    arguments: Sequence[Any] = written.get("args") or ()
    version = str(written.get("apiVersion") or "client.authentication.k8s.io/v1")
    return ExecPlugin(command, tuple(map(str, arguments)), environment, version, str(folder))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise NoCluster(f"{path} has more than {MAX_FILE_BYTES} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise NoCluster(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NoCluster(f"{path} is not a text in UTF-8") from error
