"""The document of a scenario on another coordinator, and its replacement."""

from coordinator_client.addresses import quote_segment
from coordinator_client.command_line.coordinator import BeingDeleted, ChangedMeanwhile, ScenarioNotFound
from coordinator_client.command_line.editing import Edited
from coordinator_client.errors import ConflictError, NotFoundError
from coordinator_client.synchronous.client import Client

PRECONDITION_FAILED = 412


class RemoteEditing:
    _client: Client

    def find_document(self, name: str) -> Edited:
        try:
            response = self._client.request("GET", f"scenarios/{quote_segment(name)}")
        except NotFoundError:
            names = [scenario.name for scenario in self._client.scenarios.list()]
            raise ScenarioNotFound(name, names) from None
        self._check_that_it_stays(name)
        found = response.json(self._client.server)
        return Edited(name, str(found["document"]), response.headers.get("etag", ""))

    def _check_that_it_stays(self, name: str) -> None:
        """Nobody should write what will be refused."""
        try:
            self._client.scenarios.get_deletion(name)
        except NotFoundError:
            return
        raise BeingDeleted.of_scenario(name)

    def replace_document(self, edited: Edited, document: str) -> None:
        path = f"scenarios/{quote_segment(edited.name)}"
        headers = {"Content-Type": "application/yaml", "If-Match": edited.version}
        try:
            self._client.request("PUT", path, content=document.encode(), headers=headers)
        except ConflictError as error:
            if error.status != PRECONDITION_FAILED:
                raise
            raise ChangedMeanwhile(edited.name) from error
