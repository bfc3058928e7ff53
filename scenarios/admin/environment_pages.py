"""Environments: addresses of services and values of variables that belong together."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.named_rows import NamedRowsAdmin
from scenarios.domain.errors import AddressProtected, AddressUnknown
from scenarios.library import environments
from scenarios.models import Environment
from scenarios.pictures.badges import badge

PROTECT = "scenarios.protect_service"
NEEDS_PERMISSION = "Protecting a service needs the permission 'protect_service'."


class EnvironmentForm(forms.ModelForm):
    """For people who may not protect services: refuses to protect one, and the address of a protected one."""

    may_protect = False

    class Meta:
        model = Environment
        fields = ["name", "description", "services", "variables"]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "services" in self.fields:  # absent for people who may only view
            self.initial["services"] = self.instance.list_services()

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc] # of Django's own
        if self.errors:
            return
        try:
            environments.check_registered(self.instance)
            if not self.may_protect:
                environments.check_addresses(self.instance)
        except ValidationError as error:
            self.add_error(None, error)
        except (AddressProtected, AddressUnknown) as error:
            self.add_error("services", str(error))
        if not self.may_protect and any(words.get("protected") for words in self.instance.services.values()):
            self.add_error("services", NEEDS_PERMISSION)


class EnvironmentFormOfProtector(EnvironmentForm):
    may_protect = True


@admin.register(Environment)
class EnvironmentAdmin(DeletedByServiceAdmin, NamedRowsAdmin):
    empty_hint = "Add one to run the same scenarios elsewhere, such as in staging."
    form = EnvironmentForm
    list_display = ["name", "named_services", "protection", "description"]
    fields = ["name", "description", "services", "variables"]
    search_fields = ["name", "description"]
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> list[str]:
        return ["name"] if obj is not None else []  # runs and schedules refer to it by its name

    def get_form(self, request: HttpRequest, *arguments: Any, **named: Any) -> type[forms.ModelForm]:
        form = EnvironmentFormOfProtector if request.user.has_perm(PROTECT) else EnvironmentForm
        return super().get_form(request, *arguments, **{"form": form, **named})

    # Moving or deleting a protected service would be a way around its protection.

    def has_change_permission(self, request: HttpRequest, obj: Environment | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Environment | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, environment: Environment | None) -> bool:
        return environment is None or not environment.is_protected or request.user.has_perm(PROTECT)

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        environments.save_environment(obj, by=cast("User", request.user))

    def delete_row(self, row: Environment, *, by: User) -> None:
        environments.delete_environment(row)

    @admin.display(description="services")
    def named_services(self, environment: Environment) -> str:
        return ", ".join(environment.services) or "-"

    @admin.display(description="protection", ordering="is_protected")
    def protection(self, environment: Environment) -> SafeString | str:
        return badge("protected") if environment.is_protected else "-"
