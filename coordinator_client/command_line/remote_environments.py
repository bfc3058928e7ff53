"""The environments of another coordinator, through its API."""

from collections.abc import Sequence

from coordinator_client.command_line.environments import EnvironmentRequest
from coordinator_client.command_line.remote_registrations import explain_missing, explain_refusals
from coordinator_client.records import Environment
from coordinator_client.synchronous.client import Client


class RemoteEnvironments:
    _client: Client

    def list_environments(self) -> Sequence[Environment]:
        return self._client.environments.list()

    def find_environment(self, name: str) -> Environment:
        with explain_missing("environment", name):
            return self._client.environments.get(name)

    def save_environment(self, request: EnvironmentRequest, *, replace: bool) -> Environment:
        fields = {
            "services": request.services,
            "variables": request.variables,
            "description": request.description,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        with explain_refusals():
            return self._client.environments.put(request.name, **given, only_new=not replace)

    def remove_environment(self, name: str) -> None:
        with explain_missing("environment", name):
            self._client.environments.delete(name)
