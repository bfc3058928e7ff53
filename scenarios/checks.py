"""System checks: misconfiguration fails at start."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error

from metrics_app import checks as metrics_checks
from scenarios.database.errors import encoding_problem
from scenarios.drivers import hosts, load_drivers
from scenarios.drivers.container_engines import explain_missing_tls
from scenarios.drivers.kubernetes.clusters import NoCluster, list_clusters, read_cluster

# What differs from one installation to the next, in difference to the code.
INSTALLATION = "installation"
# The tags of the checks before a command of this product. The others concern the web process, and load all of
# its pages, which takes longer than most commands; 'check', 'migrate', 'up' and that process make them.
BEFORE_COMMANDS = (INSTALLATION, metrics_checks.TAG)


def check_drivers(**_options: Any) -> list[CheckMessage]:
    try:
        load_drivers(settings.SCENARIO_DRIVERS)
    except (ImportError, ValueError, TypeError) as error:
        hint = "EXTRA_SCENARIO_DRIVERS lists dotted paths of classes, as 'mysite.drivers.Queue'."
        return [Error(str(error), hint=hint, id="scenarios.E001")]
    return []


def check_database_encoding(*, databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Run by `migrate`, and by `check --database default`: it asks the database."""
    problems = [encoding_problem(alias) for alias in databases or ()]
    hint = "An event or a reason that cannot be stored is kept in a reduced form only."
    return [Error(f"{problem}.", hint=hint, id="scenarios.E003") for problem in problems if problem]


def check_outside(**_options: Any) -> list[CheckMessage]:
    """What the settings say of Grafana and of links from the outside to here."""
    found: list[CheckMessage] = []
    if bool(settings.GRAFANA_URL) != bool(settings.GRAFANA_TOKEN):
        missing = "GRAFANA_TOKEN" if settings.GRAFANA_URL else "GRAFANA_URL"
        hint = "A token of a service account that may create annotations; or set neither."
        found.append(Error(f"{missing} is missing: the other one is set.", hint=hint, id="scenarios.E002"))
    host = urlsplit(settings.PUBLIC_URL).hostname
    is_telling = settings.GRAFANA_URL or settings.WEBHOOK_ALLOWED_HOSTS
    if settings.ENVIRONMENT == "production" and is_telling and host in {"localhost", "127.0.0.1"}:
        hint = "The address by which people reach this site, as 'https://coordinator.example.com'."
        sentence = f"PUBLIC_URL={settings.PUBLIC_URL!r}: links in messages lead nowhere."
        found.append(checks.Warning(sentence, hint=hint, id="scenarios.W001"))
    return found


def check_container_engines(**_options: Any) -> list[CheckMessage]:
    """Whether the engines of other machines can be asked, which are reached by TLS alone."""
    hint = "CONTAINER_TLS_DIR has a folder for each of them, as docs/containers.md describes."
    remote = [name for name, url in settings.CONTAINER_ENGINES.items() if url.startswith("tcp:")]
    problems = [explain_missing_tls(name) for name in remote]
    return [Error(f"{problem}.", hint=hint, id="scenarios.E004") for problem in problems if problem]


def check_host(**_options: Any) -> list[CheckMessage]:
    """Whether faults of `command` and `signal` steps can be told apart by the host they are on."""
    is_named = bool(settings.HOST_NAME or hosts.machine_id())
    if is_named or not (settings.ALLOWED_COMMANDS or settings.ALLOWED_PIDFILE_DIRS):
        return []
    sentence = f"This host has no machine id, and is called {hosts.this_host()!r} by its name alone."
    hint = (
        "Set HOST_NAME: a fault by 'command' or 'signal' is undone only on the host of this name, and a "
        "container's own name changes when it is made again."
    )
    return [checks.Warning(sentence, hint=hint, id="scenarios.W002")]


def check_clusters(**_options: Any) -> list[CheckMessage]:
    """A warning alone: a kubeconfig may be replaced, and undos of other faults must not wait for it."""
    if not settings.KUBERNETES_CONFIG:
        return []
    found: list[CheckMessage] = []
    try:
        for cluster in list_clusters():
            read_cluster(cluster)
    except NoCluster as error:
        hint = "KUBERNETES_CONFIG is the path of a kubeconfig that this process may read."
        found.append(checks.Warning(f"Kubernetes: {error}.", hint=hint, id="scenarios.W003"))
    return found
