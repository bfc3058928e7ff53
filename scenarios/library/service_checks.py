"""Checks all that is registered of a service: its address, its health, its fault proxy."""

from scenarios.library.findings import Finding
from scenarios.library.proxy_checks import check_proxy
from scenarios.library.service_health import check_health, check_listening
from scenarios.models import Service


def check_service(service: Service) -> list[Finding]:
    """One finding for each part, in the order in which they depend on each other."""
    listening = check_listening(service)
    sentence = f"{service.base_url} {listening.sentence}" if listening.is_well else listening.sentence
    found = [Finding("address", listening.is_well, sentence)]
    if service.is_web:
        health = check_health(service)
        found.append(Finding("health", health.is_well, health.sentence))
    return [*found, *check_proxy(service)]
