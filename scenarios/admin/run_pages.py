"""Runs: watch them live, stop them, read what happened, run them again."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from scenarios.admin.filtered_lists import NameOfEnvironmentFilter, NameOfScenarioFilter
from scenarios.admin.pages import address, button, page
from scenarios.admin.read_only import WithoutFormAdmin
from scenarios.admin.run_actions import RunActions
from scenarios.control_room import compare_page, run_page
from scenarios.control_room.run_mark import Mark, find_mark
from scenarios.control_room.searches import search_runs
from scenarios.domain.errors import InvalidDocument, InvalidVariables, ScenarioError
from scenarios.domain.outcomes import UNBEGUN, RunState
from scenarios.models import Run, RunQuerySet, Scenario
from scenarios.pictures import words
from scenarios.pictures.badges import run_badges
from scenarios.reports import FORMATS, file_name, render_report
from scenarios.reports.page import build_policy
from scenarios.runs import commands as run_commands

CHANGE_LIST = "scenarios_run_changelist"
TEMPLATES = "admin/scenarios/run"
MAX_ZOOM = 366 * 86400


class ZoomForm(forms.Form):
    """Seconds since the run began."""

    begin = forms.FloatField(min_value=0, max_value=MAX_ZOOM)
    end = forms.FloatField(min_value=0, max_value=MAX_ZOOM)


class StateFilter(admin.ChoicesFieldListFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        if self.used_parameters.get(self.lookup_kwarg) == [RunState.FINISHED]:
            return cast("RunQuerySet", queryset).in_state(RunState.FINISHED)
        return cast("QuerySet[Run]", super().queryset(request, queryset))


class ScenarioFilter(NameOfScenarioFilter):
    """By the name of a stored scenario, or a part of it if none is called so."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        if not (name := self.value()):
            return queryset
        # Collecting the names from the runs would read all of them.
        rows = Scenario.objects.order_by()
        exact = rows.filter(name=name).values_list("pk", flat=True)
        parts = rows.filter(name__icontains=name).values_list("pk", flat=True)
        return queryset.filter(scenario__in=list(exact) or list(parts))


class EnvironmentFilter(NameOfEnvironmentFilter):
    """By the name that runs have noted: an environment that was removed since still finds its runs."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.filter(environment=self.value()) if self.value() else queryset


@admin.register(Run)
class RunAdmin(RunActions, WithoutFormAdmin):
    empty_hint = "Start one from the page of a scenario."
    list_display = ["__str__", "badges", "queued_at", "duration", "explanation", "started_by", "started_from"]
    list_filter = [
        *(("state", StateFilter), "outcome", "rollback", "queued_at"),
        *(ScenarioFilter, EnvironmentFilter),
    ]
    list_select_related = ["started_by"]
    list_per_page = 50
    sortable_by = ("queued_at",)  # by an index
    show_full_result_count = False  # it would count all rows a second time
    search_fields = ("scenario_name",)
    search_hint = "Part of a scenario's name, the beginning of a run's ID, or who started it."
    change_form_template = f"{TEMPLATES}/change_form.html"

    @admin.display(description="verdict", ordering="outcome")
    def badges(self, run: Run) -> SafeString:
        return run_badges(run)

    @admin.display(description="reason")
    def explanation(self, run: Run) -> str:
        is_waiting = run.state in UNBEGUN and run.waiting_for
        return f"waiting: {run.waiting_for}" if is_waiting else run.reason

    @admin.display(description="duration")
    def duration(self, run: Run) -> str:
        return words.duration(run.took) or "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        rows = cast("RunQuerySet", super().get_queryset(request))
        is_list = request.resolver_match is not None and request.resolver_match.url_name == CHANGE_LIST
        return rows.for_a_list() if is_list else rows.select_related("scenario", "started_by")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        return search_runs(queryset, search_term), False

    def page_context(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        return run_page.whole_page(row)

    @page("<uuid:pk>/live/")
    def live_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What has changed since the browser's last poll; 204 if nothing has."""
        seen = Mark.read(request.GET.get("after", ""))
        if find_mark(pk) == seen:
            return HttpResponse(status=204)
        context = run_page.what_changed(self.find_visible(request, pk), seen)
        if context is None:
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, f"{TEMPLATES}/live.html", context)

    @page("<uuid:pk>/charts/")
    def charts_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The charts, if there are newer ones than the browser has; 204 if not."""
        if str(run_page.charts_version(pk)) == request.GET.get("seen", ""):
            return HttpResponse(status=204)
        context = run_page.build_charts(self.find_visible(request, pk))
        return TemplateResponse(request, f"{TEMPLATES}/charts.html", context)

    @page("<uuid:pk>/looks/")
    def looks_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The charts of validations and loads, if more was measured than the browser has; 204 if not."""
        run = self.find_visible(request, pk)
        if run_page.has_seen_looks(run, request.GET.get("seen", "")):
            return HttpResponse(status=204)
        return TemplateResponse(request, f"{TEMPLATES}/looks.html", run_page.build_measured(run))

    @page("<uuid:pk>/zoom/")
    def zoom_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """A part of the run's timeline and curves; nothing without its limits."""
        run = self.find_visible(request, pk)
        form = ZoomForm({"begin": request.GET.get("from"), "end": request.GET.get("to")})
        context = run_page.build_zoom(run, **form.cleaned_data) if form.is_valid() else {"run": run}
        return TemplateResponse(request, f"{TEMPLATES}/zoom.html", context)

    @page("<uuid:pk>/compare/")
    def compare_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """This run beside another one of its scenario."""
        run = self.find_visible(request, pk)
        context = compare_page.build_comparison(run, request.GET.get("with", ""))
        return self.render(request, f"{TEMPLATES}/compare.html", f"Compare {run}", **context)

    @page("<uuid:pk>/step/")
    def step_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """A step's input and output."""
        run = self.find_visible(request, pk)
        words = (request.GET.get(name, "") for name in ("phase", "name", "number"))
        context = run_page.step_details(run, *words)
        return TemplateResponse(request, f"{TEMPLATES}/step.html", context)

    @page("<uuid:pk>/events/")
    def events_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The page of events before the event with this number."""
        run = self.find_visible(request, pk)
        before = request.GET.get("before", "")
        context = {"run": run, **run_page.events_before(run, int(before) if before.isdecimal() else None)}
        return TemplateResponse(request, f"{TEMPLATES}/events.html", context)

    @page("<uuid:pk>/report/")
    def report_page(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The report as a download; the HTML report as a page, under its own policy."""
        run = self.find_visible(request, pk)
        name = request.GET.get("format", "html")
        if name not in FORMATS:
            raise Http404(f"unknown report format {name!r}; choose one of {', '.join(FORMATS)}")
        response = HttpResponse(
            render_report(run, name), content_type=f"{FORMATS[name].media_type}; charset=utf-8"
        )
        if name == "html":
            response["Content-Security-Policy"] = build_policy()
        else:
            response["Content-Disposition"] = f'attachment; filename="{file_name(run, name)}"'
        return response

    @button("<uuid:pk>/stop/", permission="scenarios.stop_run")
    def stop(self, request: HttpRequest, run: Run) -> None:
        if run_commands.request_stop(run, by=request.user.get_username()):
            self.message_user(request, "The run is stopping. Its faults are undone first.")
        else:
            self.message_user(request, "The run has already ended or is stopping.", messages.WARNING)

    @button("<uuid:pk>/again/", permission="scenarios.run_scenario")
    def run_again(self, request: HttpRequest, run: Run) -> HttpResponse:
        """Start a new run with the same document and variables."""
        try:
            started = run_commands.start_run(
                run.document,
                run.variables,
                origin="admin",
                scenario=run.scenario,
                priority=run.priority,
                environment=run.environment,
                by=cast("User", request.user),
            )
        except (InvalidDocument, InvalidVariables) as error:
            raise ScenarioError(f"This run cannot be repeated: {error}") from error
        return HttpResponseRedirect(address(started))
