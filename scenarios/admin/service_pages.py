"""The services that scenarios act on: how they are, who holds them, who touches them."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scenarios import overview
from scenarios.admin.service_queries import QueriesInline
from scenarios.health import health_of
from scenarios.models import Service


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    inlines = [QueriesInline]
    list_display = ["name", "base_url", "health", "held_by", "touched_by", "description"]
    search_fields = ["name", "description"]
    list_per_page = 50
    change_list_template = "admin/scenarios/service/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, {"title": "Services", **(extra_context or {})})
        changes = getattr(response, "context_data", {}).get("cl")
        if changes is not None:
            held, touching = overview.holders(), overview.scenarios_by_service()
            rows = list(changes.result_list)
            for row in rows:
                row.holder, row.scenarios = held.get(row.name), touching.get(row.name, [])
            changes.result_list = rows
        return response

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.health_view)
        return [path("<int:pk>/health/", view, name="scenarios_service_health"), *super().get_urls()]

    @admin.display(description="health now")
    def health(self, service: Service) -> SafeString:
        # Each is asked by a request of its own: one that hangs keeps nobody waiting.
        return format_html(
            '<span hx-get="{}" hx-trigger="load, every 10s" aria-live="polite">asking…</span>',
            reverse("admin:scenarios_service_health", args=[service.pk]),
        )

    @admin.display(description="held by")
    def held_by(self, service: Any) -> str:
        if service.holder is None:
            return "-"
        run = reverse("admin:scenarios_run_change", args=[service.holder.pk])
        return format_html('<a href="{}">{}</a>', run, service.holder)

    @admin.display(description="touched by")
    def touched_by(self, service: Any) -> str:
        return (
            format_html_join(
                ", ",
                '<a href="{}">{}</a>',
                (
                    (reverse("admin:scenarios_scenario_change", args=[key]), name)
                    for key, name in service.scenarios
                ),
            )
            or "-"
        )

    def health_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        health = health_of(get_object_or_404(Service, pk=pk).name)
        return TemplateResponse(request, "admin/scenarios/service/health.html", {"health": health})
