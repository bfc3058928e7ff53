"""A short look at every fault proxy and host that is registered, all at the same time."""

import asyncio
from collections.abc import Sequence

from scenarios.domain import service_urls
from scenarios.domain.counts import format_count
from scenarios.domain.errors import ScenarioError
from scenarios.domain.plan import origin
from scenarios.drivers.listening import find_refusal
from scenarios.library.findings import Finding
from scenarios.library.proxy_checks import NotUsable, count_faults
from scenarios.models import Host, Service
from scenarios.ports import Platform

TIME_LIMIT = 2.0


async def look_at_proxies(services: Sequence[Service]) -> list[tuple[Service, Finding]]:
    """Whether the proxy of each service answers, and how many faults it has. Each proxy is asked once."""
    one_each = {(row.proxy, row.proxy_secret): row for row in services}
    found = await asyncio.gather(*(_look_at_proxy(row) for row in one_each.values()))
    by_proxy = dict(zip(one_each, found, strict=True))
    return [(row, by_proxy[row.proxy, row.proxy_secret]) for row in services]


async def _look_at_proxy(service: Service) -> Finding:
    try:
        count = await count_faults(service)
    except (ScenarioError, NotUsable) as error:
        return Finding("fault proxy", is_well=False, sentence=str(error))
    sentence = f"answers at {origin(service.proxy)}, has {format_count(count, 'fault')}"
    return Finding("fault proxy", is_well=True, sentence=sentence)


async def look_at_hosts(hosts: Sequence[Host], platform: Platform) -> list[tuple[Host, Finding]]:
    """Whether something accepts connections at the SSH address of each host."""
    found = await asyncio.gather(*(_look_at_host(row, platform) for row in hosts))
    return list(zip(hosts, found, strict=True))


async def _look_at_host(host: Host, platform: Platform) -> Finding:
    if not host.address:
        return Finding("host", is_well=True, sentence="is the worker's own machine")
    try:
        place = service_urls.parse_ssh_address(host.address)[1]
        refusal = await find_refusal(place.host, place.port, platform, TIME_LIMIT)
    except (ScenarioError, ValueError) as error:
        return Finding("host", is_well=False, sentence=str(error))
    return Finding("host", not refusal, f"{place} {refusal or 'accepts connections'}")
