"""Scenarios: written, run, compared with what they were."""

import copy
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.control_room import home_queries
from scenarios.control_room.forms import ScenarioForm, VariablesForm
from scenarios.domain.errors import InvalidDocument, InvalidVariables, ScenarioDeleted
from scenarios.domain.plan import Plan
from scenarios.drivers import documents
from scenarios.drivers.platform import step_arguments
from scenarios.language.document import Document, build_plan
from scenarios.language.schema import json_schema
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.dry_run import steps_of
from scenarios.library.sync import remove_scenario
from scenarios.library.versions import VERSIONS_PER_PAGE, versions_of
from scenarios.library.warnings import delays, forewarnings, refusals, unreachable
from scenarios.models import Run, Scenario, Service
from scenarios.pictures.badges import run_badges
from scenarios.pictures.plan_timeline import plan_timeline
from scenarios.runs import commands as run_commands

LAST_RUNS = 10
NEEDS_VARIABLES = "The plan is drawn for a run: some variables have no default."


class ServiceFilter(admin.SimpleListFilter):
    """By a service that the scenario's steps name: offered where a link has asked for one."""

    title = "service"
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = request.GET.get(self.parameter_name, "")
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> QuerySet[Scenario]:
        name = (self.value() or "").replace("\0", "")
        return queryset.filter(named_services__service=name) if name else queryset


@admin.register(Scenario)
class ScenarioAdmin(DeletedByServiceAdmin):
    form = ScenarioForm
    list_display = ["name", "title", "tag_list", "last_verdict", "run_link"]
    search_fields = ["name", "title", "description"]
    list_filter = [ServiceFilter]
    fields = ["document"]
    actions = ["run_selected"]
    list_per_page = 50

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, {"title": "Scenarios", **(extra_context or {})})
        changes = getattr(response, "context_data", {}).get("cl")
        if changes is not None:
            rows: list[Any] = list(changes.result_list)
            for row, run in home_queries.with_last_run(rows):
                row.last_run = run  # type: ignore[attr-defined]
            changes.result_list = rows
        return response

    @admin.display(description="tags")
    def tag_list(self, scenario: Scenario) -> str:
        return ", ".join(scenario.tags)

    @admin.display(description="last run")
    def last_verdict(self, scenario: Any) -> str:
        return run_badges(scenario.last_run) if scenario.last_run else "-"

    @admin.display(description="")
    def run_link(self, scenario: Scenario) -> SafeString:
        return format_html(
            '<a href="{}">Run…</a>', reverse("admin:scenarios_scenario_run", args=[scenario.pk])
        )

    def save_model(self, request: HttpRequest, obj: Scenario, form: Any, change: bool) -> None:
        stored = stored_scenarios.save_scenario(form.parsed, by=cast("User", request.user))
        obj.pk = stored.pk
        obj.refresh_from_db()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        remove_scenario(str(obj), by=cast("User", request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A copy is begun from another scenario's document; nothing is stored before it has its own name."""
        key = request.GET.get("copy_of", "")
        original = Scenario.objects.filter(pk=int(key)).first() if key.isdecimal() else None
        if original is None or not self.has_view_permission(request, original):
            return {}
        return {"document": original.document}

    def get_urls(self) -> list[URLPattern]:
        admin_view = self.admin_site.admin_view
        own = [
            path("draft/", admin_view(self.draft_view), name="scenarios_scenario_draft"),
            path("schema/", admin_view(self.schema_view), name="scenarios_scenario_schema"),
            path("<int:pk>/run/", admin_view(self.run_view), name="scenarios_scenario_run"),
            path(
                "<int:pk>/restore/<int:version>/",
                admin_view(self.restore_view),
                name="scenarios_scenario_restore",
            ),
        ]
        return [*own, *super().get_urls()]

    # Writing

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        scenario = self.get_object(request, unquote(object_id)) if object_id else None
        more = {"show_save_and_add_another": False, **self.shown_beside(request, scenario)}
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def shown_beside(self, request: HttpRequest, scenario: Scenario | None) -> dict[str, Any]:
        """The plan, the last runs and the form that starts one."""
        if scenario is None:
            return {}
        shown: dict[str, Any] = {"last_runs": scenario.runs.for_a_list()[:LAST_RUNS]}
        try:
            document = documents.read_document(scenario.document)
        except InvalidDocument as error:
            return {**shown, "plan": str(error)}
        shown["plan"] = picture_of(document)
        if self.has_run_permission(request):
            shown["run_form"] = VariablesForm(document.variables)
            shown["run_address"] = reverse("admin:scenarios_scenario_run", args=[scenario.pk])
            shown["delays"] = delays_of(document)
        return shown

    def draft_view(self, request: HttpRequest) -> HttpResponse:
        """What is wrong with the document in the body, or its plan; nothing is stored."""
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        try:
            document = documents.read_document(request.body)
        except InvalidDocument as error:
            problems = [
                {"line": one.line, "column": one.column, "message": one.message, "hint": one.hint}
                for one in error.problems
            ]
            return JsonResponse({"problems": problems, "plan": ""})
        return JsonResponse({"problems": [], "plan": picture_of(document)})

    def schema_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        schema = copy.deepcopy(json_schema(step_arguments()))
        for declaration in schema["$defs"].values():
            if "service" in declaration.get("properties", {}):
                # Only offered: a service may be registered after the scenario is written.
                names = Service.objects.values_list("name", flat=True)
                declaration["properties"]["service"]["examples"] = list(names)
        return JsonResponse(schema)

    # Running

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
        """Asks for the variables, then starts the run and goes to its page, or shows what it would do."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        scenario = get_object_or_404(Scenario, pk=pk)
        try:
            document = documents.read_document(scenario.document)
        except InvalidDocument as error:
            for found in error.problems:
                self.message_user(request, str(found), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scenarios_scenario_change", args=[pk]))
        form = VariablesForm(document.variables, request.POST if request.method == "POST" else None)
        context: dict[str, Any] = {}
        if form.is_valid() and "dry_run" in request.POST:
            context = self.dry_run(document, form)
        elif form.is_valid() and (run := self.start(request, scenario, form)) is not None:
            return HttpResponseRedirect(reverse("admin:scenarios_run_change", args=[run.pk]))
        context |= {**self.admin_site.each_context(request), "title": f"Run {scenario.name}"}
        context |= {"opts": self.opts, "original": scenario, "form": form, "delays": delays_of(document)}
        return TemplateResponse(request, "admin/scenarios/scenario/run.html", context)

    def dry_run(self, document: Document, form: VariablesForm) -> dict[str, Any]:
        try:
            plan = build_plan(document, form.given())
        except InvalidVariables as error:
            show_at_fields(form, error)
            return {}
        return {"plan": drawn_plan(plan), "steps": list(steps_of(plan)), "unreachable": unreachable(plan)}

    def start(self, request: HttpRequest, scenario: Scenario, form: VariablesForm) -> Run | None:
        try:
            return run_commands.start_run(
                scenario.document,
                form.given(),
                origin="admin",
                scenario=scenario,
                by=cast("User", request.user),
            )
        except InvalidVariables as error:
            show_at_fields(form, error)
            return None
        except ScenarioDeleted as error:
            raise Http404(str(error)) from error

    # Versions

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scenario = self.get_object(request, unquote(object_id))
        if scenario is None:
            raise Http404(f"there is no scenario {object_id!r}")
        if not self.has_view_or_change_permission(request, scenario):
            raise PermissionDenied
        before = request.GET.get("before", "")
        versions = versions_of(scenario, before=int(before) if before.isdecimal() else None)
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {scenario.name}",
            "opts": self.opts,
            "original": scenario,
            "versions": versions,
            "older": versions[-1].key if len(versions) == VERSIONS_PER_PAGE else None,
            "is_newest_page": not before,
            "may_restore": self.has_change_permission(request, scenario),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/scenarios/scenario/history.html", context)

    def restore_view(self, request: HttpRequest, pk: int, version: int) -> HttpResponse:
        scenario = get_object_or_404(Scenario, pk=pk)
        if request.method != "POST" or not self.has_change_permission(request, scenario):
            raise PermissionDenied
        try:
            stored_scenarios.restore_version(scenario, version, by=cast("User", request.user))
        except ObjectDoesNotExist as error:
            raise Http404(f"{scenario.name} has no version {version}") from error
        except InvalidDocument as error:
            self.message_user(request, f"That version is no longer valid: {error}", messages.ERROR)
        else:
            self.message_user(request, "The version was restored, as a new one.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scenarios_scenario_history", args=[pk]))


def picture_of(document: Document) -> str:
    """The plan with the variables' defaults, drawn."""
    try:
        plan: Plan = build_plan(document, {})
    except (InvalidVariables, InvalidDocument):
        return format_html('<p class="empty">{}</p>', NEEDS_VARIABLES)
    return drawn_plan(plan)


def drawn_plan(plan: Plan) -> SafeString:
    """The picture, below what the writer should know before a run."""
    told = format_html_join("", "<li>{}</li>", ((sentence,) for sentence in forewarnings(plan)))
    return (
        format_html('<ul class="forewarnings">{}</ul>{}', told, plan_timeline(plan))
        if told
        else plan_timeline(plan)
    )


def delays_of(document: Document) -> list[str]:
    """Told of the variables' defaults: where they are not enough, the run's own page tells it."""
    try:
        plan = build_plan(document, {})
    except (InvalidVariables, InvalidDocument):
        return []
    return [*delays(plan), *(f"As seen from here, a run would end errored: {one}" for one in refusals(plan))]


def show_at_fields(form: VariablesForm, error: InvalidVariables) -> None:
    for name, sentence in error.errors.items():
        form.add_error(name if name in form.fields else None, ValidationError(sentence))
