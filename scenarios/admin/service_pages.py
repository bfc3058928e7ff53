"""The services that scenarios act on: how they are, who holds them, who touches them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.service_queries import QueriesInline
from scenarios.control_room import home_queries
from scenarios.domain.counts import format_count
from scenarios.domain.errors import AddressProtected, AddressUnknown
from scenarios.library import services as registered_services
from scenarios.library.service_health import Health, health_of, try_health
from scenarios.models import Service
from scenarios.pictures.badges import badge

PROTECT = "scenarios.protect_service"


class AddressForm(forms.ModelForm):
    """Of whoever may not protect services: refuses the address of a protected one."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if base_url := self.cleaned_data.get("base_url"):
            try:
                registered_services.check_address(
                    Service(name=self.cleaned_data.get("name", ""), base_url=base_url)
                )
            except (AddressProtected, AddressUnknown) as error:
                self.add_error("base_url", str(error))
        return cleaned


@admin.register(Service)
class ServiceAdmin(DeletedByServiceAdmin):
    inlines = [QueriesInline]
    list_display = ["name", "base_url", "health", "protection", "held_by", "touched_by", "description"]
    list_filter = ["is_protected"]
    fields = ["name", "base_url", ("health_path", "health_status"), "description", "is_protected"]
    change_form_template = "admin/scenarios/service/change_form.html"
    search_fields = ["name", "description"]
    list_per_page = 50
    change_list_template = "admin/scenarios/service/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, {"title": "Services", **(extra_context or {})})
        changes = getattr(response, "context_data", {}).get("cl")
        if changes is not None:
            rows: list[Any] = list(changes.result_list)
            held, touching = (
                home_queries.holders(),
                home_queries.few_scenarios_by_service(row.name for row in rows),
            )
            for row in rows:
                row.holder, row.touching = held.get(row.name), touching.get(row.name, home_queries.Touching())
            changes.result_list = rows
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        service: Any = self.get_object(request, unquote(object_id)) if object_id else None
        more: dict[str, Any] = {}
        if service is not None:
            service.holder = home_queries.holders().get(service.name)
            service.touching = home_queries.scenarios_touching(service.name)
            more = {"health": self.health(service), "held_by": self.held_by(service)}
            more["touched_by"] = self.touched_by(service)
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **more})

    # Whoever could move a protected service, or take it away, could as well take its protection away.

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> list[str]:
        return [] if request.user.has_perm(PROTECT) else ["is_protected"]

    def get_form(self, request: HttpRequest, *arguments: Any, **named: Any) -> type[forms.ModelForm]:
        form = {} if request.user.has_perm(PROTECT) else {"form": AddressForm}
        return super().get_form(request, *arguments, **{**form, **named})

    def has_change_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        return super().has_change_permission(request, obj) and self.may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self.may_touch(request, obj)

    def may_touch(self, request: HttpRequest, service: Service | None) -> bool:
        return service is None or not service.is_protected or request.user.has_perm(PROTECT)

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        registered_services.save_service(obj)

    def take_away(self, row: Service) -> None:
        registered_services.delete_service(row)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.health_view)
        try_view = self.admin_site.admin_view(self.try_view)
        own = [
            path("<int:pk>/health/", view, name="scenarios_service_health"),
            path("try/", try_view, name="scenarios_service_try"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="health now")
    def health(self, service: Service) -> SafeString:
        # Each is asked by a request of its own: one that hangs keeps nobody waiting.
        return format_html(
            '<span hx-get="{}" hx-trigger="load, every 10s" aria-live="polite">asking…</span>',
            reverse("admin:scenarios_service_health", args=[service.pk]),
        )

    @admin.display(description="protection", ordering="is_protected")
    def protection(self, service: Service) -> SafeString | str:
        return badge("protected") if service.is_protected else "-"

    @admin.display(description="held by")
    def held_by(self, service: Any) -> str:
        if service.holder is None:
            return "-"
        run = reverse("admin:scenarios_run_change", args=[service.holder.pk])
        return format_html('<a href="{}">{}</a>', run, service.holder)

    @admin.display(description="touched by")
    def touched_by(self, service: Any) -> str:
        touching: home_queries.Touching = service.touching
        links = format_html_join(
            ", ",
            '<a href="{}">{}</a>',
            (
                (reverse("admin:scenarios_scenario_change", args=[key]), name)
                for key, name in touching.scenarios
            ),
        )
        more = touching.count - len(touching.scenarios)
        if not more:
            return links or "-"
        page = f"{reverse('admin:scenarios_scenario_changelist')}?{urlencode({'service': service.name})}"
        return format_html(
            '{}<a href="{}">{}</a>',
            links,
            page,
            f" and {more} more" if links else format_count(more, "scenario"),
        )

    def health_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        health = health_of(get_object_or_404(Service, pk=pk))
        return TemplateResponse(request, "admin/scenarios/service/health.html", {"health": health})

    def try_view(self, request: HttpRequest) -> HttpResponse:
        """How the service is that is written in the form; nothing is stored."""
        may_write = self.has_add_permission(request) or request.user.has_perm("scenarios.change_service")
        if request.method != "POST" or not may_write:
            raise PermissionDenied
        given = {name: request.POST.get(name, "").strip() for name in ("base_url", "health_path")}
        status = request.POST.get("health_status", "").strip()
        service = Service(
            name="tried",
            **{name: word for name, word in given.items() if word},
            health_status=int(status) if status.isdecimal() else None,
        )
        try:
            service.clean_fields(exclude=["name"])
        except ValidationError as error:
            words = " ".join(" ".join(said) for said in error.message_dict.values())
            health = Health(is_well=False, sentence=words)
        else:
            health = try_health(service)
        return TemplateResponse(request, "admin/scenarios/service/health.html", {"health": health})
