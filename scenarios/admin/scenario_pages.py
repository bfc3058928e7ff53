"""Scenarios: written, run, compared with what they were."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios import services
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.forms import ScenarioForm, VariablesForm
from scenarios.models import Run, Scenario
from scenarios.pictures.badges import run_badges


@admin.register(Scenario)
class ScenarioAdmin(admin.ModelAdmin):
    form = ScenarioForm
    list_display = ["name", "title", "tag_list", "last_verdict", "run_link"]
    search_fields = ["name", "title", "description"]
    readonly_fields = ["title", "description", "changed_at", "changed_by"]
    fields = ["document", "title", "description", "changed_at", "changed_by"]
    actions = ["run_selected"]

    @admin.display(description="tags")
    def tag_list(self, scenario: Scenario) -> str:
        return ", ".join(scenario.tags)

    @admin.display(description="last run")
    def last_verdict(self, scenario: Scenario) -> str:
        run = scenario.runs.first()
        return run_badges(run) if run else "-"

    @admin.display(description="")
    def run_link(self, scenario: Scenario) -> SafeString:
        return format_html(
            '<a href="{}">Run…</a>', reverse("admin:scenarios_scenario_run", args=[scenario.pk])
        )

    def save_model(self, request: HttpRequest, obj: Scenario, form: Any, change: bool) -> None:
        stored = services.save_scenario(form.parsed, by=cast("User", request.user))
        obj.pk = stored.pk
        obj.refresh_from_db()

    def get_urls(self) -> list[URLPattern]:
        run = path("<int:pk>/run/", self.admin_site.admin_view(self.run_view), name="scenarios_scenario_run")
        return [run, *super().get_urls()]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.run_scenario")

    @admin.action(description="Run the selected scenario…", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> HttpResponse | None:
        if queryset.count() != 1:
            self.message_user(
                request, "Select one scenario: each asks for its own variables.", messages.ERROR
            )
            return None
        return HttpResponseRedirect(reverse("admin:scenarios_scenario_run", args=[queryset.get().pk]))

    def run_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for the variables, then starts the run and goes to its page."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        scenario = get_object_or_404(Scenario, pk=pk)
        try:
            variables = services.read_document(scenario.document).variables
        except InvalidDocument as error:
            for found in error.problems:
                self.message_user(request, str(found), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scenarios_scenario_change", args=[pk]))
        form = VariablesForm(variables, request.POST if request.method == "POST" else None)
        if form.is_valid():
            run = self.start(request, scenario, form)
            if run is not None:
                return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[run.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Run {scenario.name}",
            "opts": self.opts,
            "original": scenario,
            "form": form,
        }
        return TemplateResponse(request, "admin/scenarios/scenario/run.html", context)

    def start(self, request: HttpRequest, scenario: Scenario, form: VariablesForm) -> Run | None:
        try:
            return services.start_run(
                scenario.document,
                form.given(),
                origin="admin",
                scenario=scenario,
                by=cast("User", request.user),
            )
        except InvalidVariables as error:
            for name, sentence in error.errors.items():
                form.add_error(name if name in form.fields else None, ValidationError(sentence))
            return None
