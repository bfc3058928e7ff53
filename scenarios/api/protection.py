"""What is protected: only callers with the permission to protect may change it."""

from dataclasses import dataclass

from django.http import HttpRequest

from scenarios.api.access import permit
from scenarios.api.names import check_name, is_label
from scenarios.models import Environment, Host, Service


@dataclass(frozen=True, slots=True)
class Protection:
    """The rows of the model that are protected, and the permission that changing them needs."""

    model: type[Environment] | type[Host] | type[Service]
    permission: str

    def list_needed_permissions(self, name: str, **_named: str) -> list[str]:
        """For `needs`: moving or deleting a protected row would remove its protection."""
        is_protected = is_label(name) and self.model.objects.filter(name=name, is_protected=True).exists()
        return [self.permission] if is_protected else []

    def may_change(self, request: HttpRequest) -> bool:
        return permit(request).may(self.permission)

    def permit_deletion(self, request: HttpRequest, row: Environment | Host | Service) -> None:
        """Raises AuthorizationError if the row is protected and the caller lacks the permission."""
        if row.is_protected:
            permit(request, self.permission)

    def lock_for_change(
        self, request: HttpRequest, name: str, *, protects: bool | None
    ) -> Environment | Host | Service | None:
        """Lock and return the row, if there is one. Call it in a transaction.

        Raises:
            RefusedError: the name is not a DNS label.
            AuthorizationError: the caller lacks the permission, and the row is protected or shall be.
        """
        present = self.model.objects.select_for_update().filter(name=check_name(name)).first()
        if protects or (present is not None and present.is_protected):
            permit(request, self.permission)
        return present
