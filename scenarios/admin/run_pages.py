"""Runs: watched live, stopped, explained, run again."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.control_room import run_page
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import UNBEGUN
from scenarios.models import Run, RunQuerySet, Scenario
from scenarios.pictures.badges import run_badges
from scenarios.pictures.words import duration
from scenarios.reports import FORMATS, file_name, report
from scenarios.reports.page import policy
from scenarios.runs import commands as run_commands

CHANGE_LIST = "scenarios_run_changelist"
TEMPLATES = "admin/scenarios/run"


class ScenarioFilter(admin.SimpleListFilter):
    """By stored scenario: the names are not looked for among all runs, of which there are many."""

    title = "scenario"
    parameter_name = "scenario"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Scenario.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.filter(scenario__name=self.value()) if self.value() else queryset


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "badges", "queued_at", "length", "why", "started_by", "started_from"]
    list_filter = ["state", "outcome", "rollback", "queued_at", ScenarioFilter]
    list_select_related = ["started_by"]
    list_per_page = 50
    # A second count, of all rows, for a number that nobody asked for.
    show_full_result_count = False
    change_form_template = f"{TEMPLATES}/change_form.html"

    @admin.display(description="verdict", ordering="outcome")
    def badges(self, run: Run) -> SafeString:
        return run_badges(run)

    @admin.display(description="reason")
    def why(self, run: Run) -> str:
        """Why it ended so, or what it waits for."""
        is_waiting = run.state in UNBEGUN and run.waiting_for
        return f"waiting: {run.waiting_for}" if is_waiting else run.reason

    @admin.display(description="took")
    def length(self, run: Run) -> str:
        return duration(run.took) or "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows = cast("RunQuerySet", super().get_queryset(request))
        is_list = request.resolver_match is not None and request.resolver_match.url_name == CHANGE_LIST
        return rows.for_a_list() if is_list else rows.select_related("scenario", "started_by")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Runs", **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<uuid:pk>/{name}/", self.admin_site.admin_view(view), name=f"scenarios_run_{name}")
            for name, view in (
                ("stop", self.stop_view),
                ("again", self.again_view),
                ("live", self.live_view),
                ("charts", self.charts_view),
                ("step", self.step_view),
                ("events", self.events_view),
                ("report", self.report_view),
            )
        ]
        return [*own, *super().get_urls()]

    # Looking

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.visible(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **run_page.whole_page(run),
            "title": str(run),
            "opts": self.opts,
            "may_stop": request.user.has_perm("scenarios.stop_run"),
            "may_run": request.user.has_perm("scenarios.run_scenario"),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.change_form_template, context)

    def visible(self, request: HttpRequest, pk: str | UUID) -> Run:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run: Run | None = self.get_object(request, unquote(str(pk)))
        if run is None:
            raise Http404(f"there is no run {str(pk)!r}")
        return run

    def live_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What has changed since the poll before; 204 where nothing has."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        seen = run_page.Mark.read(request.GET.get("after", ""))
        if run_page.mark_of(pk) == seen:
            return HttpResponse(status=204)
        context = run_page.what_changed(self.visible(request, pk), seen)
        if context is None:
            return HttpResponse(headers={"HX-Refresh": "true"})
        context["may_stop"] = request.user.has_perm("scenarios.stop_run")
        context["may_run"] = request.user.has_perm("scenarios.run_scenario")
        return TemplateResponse(request, f"{TEMPLATES}/live.html", context)

    def charts_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The charts, where newer ones are kept than the browser has; 204 where not."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if str(run_page.charts_version(pk)) == request.GET.get("seen", ""):
            return HttpResponse(status=204)
        context = run_page.charts_of(self.visible(request, pk))
        return TemplateResponse(request, f"{TEMPLATES}/charts.html", context)

    def step_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What the step was given and what it returned."""
        run = self.visible(request, pk)
        context = run_page.step_details(run, request.GET.get("phase", ""), request.GET.get("name", ""))
        return TemplateResponse(request, f"{TEMPLATES}/step.html", context)

    def events_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """A page of events before the one with this number."""
        run = self.visible(request, pk)
        before = request.GET.get("before", "")
        context = {"run": run, **run_page.events_before(run, int(before) if before.isdecimal() else None)}
        return TemplateResponse(request, f"{TEMPLATES}/events.html", context)

    def report_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The report as a file; the HTML one is shown, under the policy that stands in it."""
        run = self.visible(request, pk)
        name = request.GET.get("format", "html")
        if name not in FORMATS:
            raise Http404(f"{name!r} is no format of a report: one of {', '.join(FORMATS)}")
        response = HttpResponse(report(run, name), content_type=f"{FORMATS[name].media_type}; charset=utf-8")
        if name == "html":
            response["Content-Security-Policy"] = policy()
        else:
            response["Content-Disposition"] = f'attachment; filename="{file_name(run, name)}"'
        return response

    # Acting

    def stop_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not request.user.has_perm("scenarios.stop_run") or request.method != "POST":
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        if run_commands.request_stop(run, by=request.user.get_username()):
            self.message_user(request, "The run was asked to stop; its faults are undone first.")
        else:
            self.message_user(request, "The run has ended, or is being stopped already.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[pk]))

    def again_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The same document with the same variables, as a new run."""
        if not request.user.has_perm("scenarios.run_scenario") or request.method != "POST":
            raise PermissionDenied
        run = get_object_or_404(Run.objects.select_related("scenario"), pk=pk)
        try:
            again = run_commands.start_run(
                run.document,
                run.variables,
                origin="admin",
                scenario=run.scenario,
                priority=run.priority,
                by=cast("User", request.user),
            )
        except (InvalidDocument, InvalidVariables) as error:
            self.message_user(request, f"It can no longer be run: {error}", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[pk]))
        return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[again.pk]))
