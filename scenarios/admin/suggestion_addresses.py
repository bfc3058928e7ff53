"""Where the links of a suggestion lead: to a new scenario, service or suite that is filled in."""

from collections.abc import Sequence

from django.urls import reverse
from django.utils.http import urlencode

from scenarios.library.suggestions import Suggestion
from scenarios.models import Service

# Which kind of dependency an address is.
_KINDS = {"http": "http", "https": "http", "grpc": "grpc", "postgres": "postgresql", "redis": "redis"}
_SUITE = """\
apiVersion: coordinator/v1
kind: Suite
metadata: {{name: {name}, title: What {name} survives}}
spec:
  service: {name}
  healthy: {{probe: {{http: {{service: {name}, path: {path}}}}}, expect: {{status: {status}}}}}
  # must: survive where users may notice nothing while the dependency is broken, fail where they may
  depends_on:
{dependencies}
"""
_DEPENDENCY = "    - {{service: {name}, kind: {kind}, must: survive}}"


def find_address(suggestion: Suggestion, service: Service) -> str:
    """A new scenario that breaks the registered dependency, or a new service for another one."""
    if suggestion.service is None:
        given = {"base_url": f"tcp://{suggestion.name}"}
        if suggestion.at:
            given |= {"proxy": service.proxy, "proxy_listener": suggestion.at}
            given |= {"proxy_secret": service.proxy_secret}
        return f"{reverse('admin:scenarios_service_add')}?{urlencode(given)}"
    if suggestion.scenario is None:
        return ""
    words = {"copy_of": str(suggestion.scenario.pk), "name": suggestion.new_name}
    words["dependency"] = suggestion.name
    if suggestion.service != service and service.is_web:
        words |= {"service": service.name, "path": service.health_path or "/"}
    return f"{reverse('admin:scenarios_scenario_add')}?{urlencode(words)}"


def find_suite_address(service: Service, suggestions: Sequence[Suggestion]) -> str:
    """A new suite of a service that speaks HTTP and its registered dependencies; "" without any."""
    others = [one.service for one in suggestions if one.service is not None and one.service != service]
    if not others or not service.is_web:
        return ""
    document = _SUITE.format(
        name=service.name,
        path=service.health_path or "/",
        status=service.health_status or 200,
        dependencies="\n".join(_DEPENDENCY.format(name=one.name, kind=_find_kind(one)) for one in others),
    )
    return f"{reverse('admin:scenarios_suite_add')}?{urlencode({'document': document})}"


def _find_kind(service: Service) -> str:
    return _KINDS.get(service.base_url.partition("://")[0].lower(), "tcp")
