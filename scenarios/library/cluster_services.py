"""Services of a namespace that may be registered, as the API server of its cluster knows them.

Nothing is registered here, as in `discovery`.
"""

import asyncio
from dataclasses import dataclass

from scenarios.domain.declarations import check_dns_label
from scenarios.domain.errors import StepImpossible
from scenarios.drivers.kubernetes.namespaces import require_allowed
from scenarios.drivers.kubernetes.services import list_offered
from scenarios.models import Service


@dataclass(frozen=True, slots=True)
class ClusterService:
    """`name` is a suggestion, `url` is where it is reached from inside the cluster.

    `registered`: the service that is registered under this name or at this address; "" if none is.
    """

    name: str
    url: str
    registered: str = ""


def list_cluster_services(namespace: str, cluster: str | None = None) -> list[ClusterService]:
    """The TCP ports of the services of the namespace; `cluster` is None for the usual one.

    Raises:
        StepFailed: this is not a namespace, the settings do not allow it, or it cannot be read.
    """
    try:
        check_dns_label(namespace)
    except ValueError as error:
        raise StepImpossible(str(error)) from error
    require_allowed(namespace)
    offered = asyncio.run(list_offered(cluster, namespace))
    by_name = dict(Service.objects.values_list("name", "base_url"))
    by_url = {url: name for name, url in by_name.items()}
    return [
        ClusterService(each.name, each.url, each.name if each.name in by_name else by_url.get(each.url, ""))
        for each in offered
    ]
