"""Runs: watched, stopped, explained."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from scenarios import services
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models import Event, Fault, Run
from scenarios.pictures.badges import run_badges

SHOWN_EVENTS = 500


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "queued_at", "badges", "reason", "started_by", "started_from"]
    list_filter = ["state", "outcome", "rollback", "scenario_name"]
    list_select_related = ["started_by"]
    date_hierarchy = "queued_at"
    fields = [
        "scenario_name",
        "verdict",
        "reason",
        "variables",
        ("queued_at", "claimed_at", "finished_at"),
        ("started_by", "started_from"),
        ("worker", "attempt", "fence", "lease_until"),
        ("stop_requested_at", "stop_requested_by"),
        "document",
    ]
    change_form_template = "admin/scenarios/run/change_form.html"

    @admin.display(description="verdict")
    def badges(self, run: Run) -> SafeString:
        return run_badges(run)

    def get_urls(self) -> list[URLPattern]:
        stop = path("<uuid:pk>/stop/", self.admin_site.admin_view(self.stop_view), name="scenarios_run_stop")
        return [stop, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        events = list(Event.objects.filter(run_id=object_id).order_by("-sequence")[:SHOWN_EVENTS])
        more = {
            "events": events[::-1],
            "shown_events": SHOWN_EVENTS,
            "faults": Fault.objects.filter(run_id=object_id).order_by("order"),
            "may_stop": request.user.has_perm("scenarios.stop_run"),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def stop_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        if not request.user.has_perm("scenarios.stop_run") or request.method != "POST":
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        if services.request_stop(run, by=request.user.get_username()):
            self.message_user(request, "The run is being stopped; its faults are undone first.")
        else:
            self.message_user(request, "The run has ended, or is being stopped already.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[pk]))
