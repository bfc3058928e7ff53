"""Scenarios: write them, run them, compare their versions."""

import copy
import re
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from scenarios.admin.drawn_plans import draw_document, draw_plan, find_delays_in_form, show_at_fields
from scenarios.admin.filtered_lists import PROBED, TOUCHED, NameOfServiceFilter, TypedFilter, replace_nul
from scenarios.admin.named_rows import NamedRowsAdmin, read_typed_text, show_suggestions
from scenarios.admin.new_test_page import NewTestPage
from scenarios.admin.pages import address, button, page
from scenarios.admin.scenario_actions import ScenarioActions
from scenarios.control_room import home_queries
from scenarios.control_room.scenario_forms import ScenarioForm
from scenarios.control_room.variable_forms import RunForm
from scenarios.domain.errors import BeingDeleted, InvalidDocument, InvalidVariables, ScenarioDeleted
from scenarios.drivers import documents
from scenarios.drivers.documents import describe_language
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.adapted_documents import adapt_document
from scenarios.library.dry_run import list_steps
from scenarios.library.sync import remove_scenario
from scenarios.library.versions import VERSIONS_PER_PAGE, list_versions
from scenarios.library.warnings import look_for_targets
from scenarios.models import Run, Scenario, Service
from scenarios.pictures.badges import run_badges
from scenarios.pictures.run_history import build_load_histories, draw_run_history
from scenarios.runs import commands as run_commands
from scenarios.runs.environments import plan_in
from scenarios.runs.measured_runs import list_measured_runs

LAST_RUNS = 10
# The variables whose defaults an address may set in a copy.
ADAPTED = ("service", "dependency", "path")
PLAIN_WORD = re.compile(r"/?[a-z][a-z0-9./_-]{0,199}|/")


class ServiceFilter(NameOfServiceFilter):
    """By a service that the scenario's steps name."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> QuerySet[Scenario]:
        name = self.value()
        return queryset.filter(named_services__service=name) if name else queryset


class UseFilter(admin.SimpleListFilter):
    """Of the service that the other filter names: whether the scenario acts on it."""

    title = "use of the service"
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(TOUCHED, "Acts on it"), (PROBED, "Only looks at it")] if request.GET.get("service") else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> QuerySet[Scenario]:
        service = replace_nul(request.GET.get("service", "")).strip()
        if not service or self.value() not in {TOUCHED, PROBED}:
            return queryset
        is_touched = self.value() == TOUCHED
        return queryset.filter(named_services__service=service, named_services__is_touched=is_touched)


class TagFilter(TypedFilter):
    title = "tag"
    parameter_name = "tag"
    suggestions = "admin:scenarios_scenario_tags"
    suggested_to = "scenarios.view_scenario"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> QuerySet[Scenario]:
        if not (tag := self.value()):
            return queryset
        # SQLite has no index into a list, either.
        rows = queryset.order_by().values_list("pk", "tags")
        return queryset.filter(pk__in=[key for key, tags in rows if tag in tags])


@admin.register(Scenario)
class ScenarioAdmin(NewTestPage, ScenarioActions, NamedRowsAdmin):
    empty_hint = "Make a new test by choosing, or write a scenario."
    form = ScenarioForm
    list_display = ["name", "title", "tag_list", "last_verdict", "run_link"]
    search_fields = ["name", "title", "description"]
    list_filter = [ServiceFilter, UseFilter, TagFilter]
    fields = ["document"]
    list_per_page = 50

    def add_to_rows(self, rows: list[Any]) -> None:
        for row, run in home_queries.with_last_run(rows):
            row.last_run = run  # type: ignore[attr-defined]

    @admin.display(description="tags")
    def tag_list(self, scenario: Scenario) -> SafeString:
        links = ((urlencode({"tag": tag}), tag) for tag in scenario.tags)
        return format_html_join(", ", '<a href="?{}">{}</a>', links)

    @admin.display(description="last run")
    def last_verdict(self, scenario: Any) -> str:
        return run_badges(scenario.last_run) if scenario.last_run else "-"

    @admin.display(description="")
    def run_link(self, scenario: Scenario) -> str:
        if scenario.is_being_deleted:
            return "being deleted"
        return format_html('<a href="{}">Run…</a>', address(scenario, "run"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Scenario], search_term: str
    ) -> tuple[QuerySet[Scenario], bool]:
        """By name, title and description, and by a whole tag."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            rows = queryset.order_by().values_list("pk", "tags")
            tagged = [key for key, tags in rows if term in tags]
            found = found | queryset.filter(pk__in=tagged)
        return found, may_repeat

    @page("tags/")
    def tags_page(self, request: HttpRequest) -> HttpResponse:
        """Tags that contain what was typed."""
        typed = read_typed_text(request).lower()
        rows = Scenario.objects.order_by().values_list("tags", flat=True)
        names = sorted({tag for tags in rows for tag in tags if typed in tag.lower()})
        return show_suggestions(request, names)

    def save_model(self, request: HttpRequest, obj: Scenario, form: Any, change: bool) -> None:
        stored = stored_scenarios.save_scenario(form.parsed, by=cast("User", request.user))
        obj.pk = stored.pk
        obj.refresh_from_db()

    def delete_row(self, row: Scenario, *, by: User) -> None:
        remove_scenario(row.name, by=by)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A copy starts with the other scenario's document and is stored once it has its own name.

        The suggestion of a service's page also gives the name, and the defaults of some variables.
        """
        key = request.GET.get("copy_of", "")
        original = Scenario.objects.filter(pk=int(key)).first() if key.isdecimal() else None
        if original is None or not self.has_view_permission(request, original):
            return {}
        if not (name := find_word(request, "name")):
            return {"document": original.document}
        defaults = {word: value for word in ADAPTED if (value := find_word(request, word))}
        return {"document": adapt_document(original.document, name, defaults)}

    # Writing

    def page_context(self, request: HttpRequest, row: Scenario | None) -> dict[str, Any]:
        """The plan, the last runs and the form that starts a run."""
        shown: dict[str, Any] = {"show_save_and_add_another": False}
        if row is None:
            return shown
        shown["last_runs"] = row.runs.for_a_list()[:LAST_RUNS]
        measured = list_measured_runs(row)
        if len(measured) > 1:  # a single run shows no change
            shown |= {
                "measured_runs": measured,
                "history_picture": draw_run_history(measured),
                "load_histories": build_load_histories(measured),
            }
        try:
            document = documents.read_document(row.document)
        except InvalidDocument as error:
            return {**shown, "plan": str(error)}
        shown["plan"] = draw_document(document)
        if self.has_run_permission(request) and not row.is_being_deleted:
            shown["run_form"] = RunForm(document.variables)
            shown["run_address"] = address(row, "run")
            shown["delays"] = find_delays_in_form(document, shown["run_form"])
        return shown

    @page("draft/", post_only=True)
    def draft_page(self, request: HttpRequest) -> HttpResponse:
        """The errors of the document in the body, or its plan; nothing is stored."""
        try:
            document = documents.read_document(request.body)
        except InvalidDocument as error:
            names = ("line", "column", "message", "hint")
            problems = [{name: getattr(problem, name) for name in names} for problem in error.problems]
            return JsonResponse({"problems": problems, "plan": ""})
        return JsonResponse({"problems": [], "plan": draw_document(document)})

    @page("schema/")
    def schema_page(self, request: HttpRequest) -> HttpResponse:
        schema = copy.deepcopy(describe_language())
        for declaration in schema["$defs"].values():
            if "service" in declaration.get("properties", {}):
                # Suggestions only: a service may be registered after the scenario is written.
                names = Service.objects.values_list("name", flat=True)
                declaration["properties"]["service"]["examples"] = list(names)
        return JsonResponse(schema)

    # Running

    @page("<int:pk>/run/", permission="run")
    def run_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for the variables, then starts the run or shows what it would do."""
        scenario = get_object_or_404(Scenario, pk=pk)
        if scenario.is_being_deleted:
            self.message_user(request, str(BeingDeleted(scenario.name)), messages.ERROR)
            return HttpResponseRedirect(address(scenario))
        try:
            document = documents.read_document(scenario.document)
        except InvalidDocument as error:
            for problem in error.problems:
                self.message_user(request, str(problem), messages.ERROR)
            return HttpResponseRedirect(address(scenario))
        form = RunForm(document.variables, request.POST if request.method == "POST" else None)
        context: dict[str, Any] = {}
        if form.is_valid() and "dry_run" in request.POST:
            context = self.dry_run(document, form)
        elif form.is_valid() and (run := self.start(request, scenario, form)) is not None:
            return HttpResponseRedirect(address(run))
        context |= {"original": scenario, "form": form, "delays": find_delays_in_form(document, form)}
        return self.render(request, "admin/scenarios/scenario/run.html", f"Run {scenario.name}", **context)

    def dry_run(self, document: Document, form: RunForm) -> dict[str, Any]:
        try:
            plan = plan_in(document, form.read_values(), form.environment)
        except InvalidVariables as error:
            show_at_fields(form, error)
            return {}
        targets = look_for_targets(plan, form.environment)
        return {
            "plan": draw_plan(plan),
            "steps": list(list_steps(plan)),
            "unreachable": targets.unreachable,
            "targets": targets.chosen,
        }

    def start(self, request: HttpRequest, scenario: Scenario, form: RunForm) -> Run | None:
        try:
            return run_commands.start_run(
                scenario.document,
                form.read_values(),
                origin="admin",
                scenario=scenario,
                by=cast("User", request.user),
                environment=form.environment,
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
        scenario = self.find_visible(request, object_id)
        before = request.GET.get("before", "")
        versions = list_versions(scenario, before=int(before) if before.isdecimal() else None)
        context = {
            "original": scenario,
            "versions": versions,
            "older": versions[-1].key if len(versions) == VERSIONS_PER_PAGE else None,
            "is_newest_page": not before,
            "may_restore": self.has_change_permission(request, scenario),
            "list_page": "admin:scenarios_scenario_changelist",
            "row_page": "admin:scenarios_scenario_change",
            "restore_page": "admin:scenarios_scenario_restore",
            **(extra_context or {}),
        }
        template = "admin/scenarios/scenario/history.html"
        return self.render(request, template, f"History of {scenario.name}", **context)

    @button("<int:pk>/restore/<int:version>/", permission="change")
    def restore(self, request: HttpRequest, scenario: Scenario, version: int) -> HttpResponse:
        try:
            stored_scenarios.restore_version(scenario, version, by=cast("User", request.user))
        except ObjectDoesNotExist as error:
            raise Http404(f"{scenario.name} has no version {version}") from error
        except InvalidDocument as error:
            self.message_user(request, f"That version is no longer valid: {error}", messages.ERROR)
        else:
            self.message_user(request, "Version restored as the newest version.", messages.SUCCESS)
        return HttpResponseRedirect(address(scenario, "history"))


def find_word(request: HttpRequest, name: str) -> str:
    """A parameter of the address, if it is a name or a path, which needs no quotes in YAML; else ""."""
    value = request.GET.get(name, "")
    return value if PLAIN_WORD.fullmatch(value) else ""
