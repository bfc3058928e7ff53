"""The environments of this machine's coordinator, through the application functions."""

from collections.abc import Sequence

from coordinator_client.command_line.coordinator import NotFound
from coordinator_client.command_line.environments import EnvironmentRequest
from coordinator_client.command_line.remote_registrations import build_missing
from coordinator_client.parsing import parse
from coordinator_client.records import Environment
from scenarios import models
from scenarios.command_line.local_registrations import explain_refusals
from scenarios.domain.outputs import make_storable
from scenarios.library import environments


class LocalEnvironments:
    def list_environments(self) -> Sequence[Environment]:
        return [_describe(row) for row in models.Environment.objects.all()]

    def find_environment(self, name: str) -> Environment:
        return _describe(_find(name))

    def save_environment(self, request: EnvironmentRequest, *, replace: bool) -> Environment:
        fields = {
            "services": request.services,
            "variables": request.variables,
            "description": request.description,
        }
        with explain_refusals():
            saved = environments.put_environment(
                str(make_storable(request.name)), make_storable(fields), by=None, only_new=not replace
            )
        return _describe(saved)

    def remove_environment(self, name: str) -> None:
        with explain_refusals():
            environments.delete_environment(_find(name))


def _find(name: str) -> models.Environment:
    if (row := models.Environment.objects.filter(name=make_storable(name)).first()) is None:
        raise NotFound(build_missing("environment", name))
    return row


def _describe(row: models.Environment) -> Environment:
    fields = {
        "name": row.name,
        "description": row.description,
        "services": row.list_services(),
        "variables": row.variables,
        "protected": row.is_protected,
    }
    return parse(Environment, fields)
