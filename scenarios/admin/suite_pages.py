"""Suites: write them, run them, and see what their services survive."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.pages import address, button, page
from scenarios.control_room.suite_forms import SuiteForm
from scenarios.domain.counts import format_count
from scenarios.domain.errors import InvalidDocument
from scenarios.domain.suite_states import SuiteRunState
from scenarios.library.versions import VERSIONS_PER_PAGE, list_versions
from scenarios.models import Suite, SuiteRun
from scenarios.pictures.suite_badges import suite_badge, suite_run_badge
from scenarios.suites import storage
from scenarios.suites.badge import compute_key
from scenarios.suites.documents import SuiteDocument, describe_suites, read_suite
from scenarios.suites.matrix import count_by_state, find_gravest, read_matrix
from scenarios.suites.obstacles import find_obstacles
from scenarios.suites.running import request_suite_stop, start_suite

LAST_RUNS = 10
TEMPLATES = "admin/scenarios/suite"


@admin.register(Suite)
class SuiteAdmin(DeletedByServiceAdmin):
    empty_hint = "Add one to try every fault on what a service depends on."
    form = SuiteForm
    list_display = ["name", "title", "service", "state", "cell_counts", "last_run"]
    search_fields = ["name", "title", "description", "service"]
    fields = ["document"]
    list_per_page = 50
    change_form_template = f"{TEMPLATES}/change_form.html"

    # People who may do something with scenarios may do it with suites.

    def has_view_permission(self, request: HttpRequest, obj: Suite | None = None) -> bool:
        return request.user.has_perm("scenarios.view_scenario") or self.has_change_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.add_scenario")

    def has_change_permission(self, request: HttpRequest, obj: Suite | None = None) -> bool:
        return request.user.has_perm("scenarios.change_scenario")

    def has_delete_permission(self, request: HttpRequest, obj: Suite | None = None) -> bool:
        return request.user.has_perm("scenarios.delete_scenario")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Suite]:
        return cast("QuerySet[Suite]", super().get_queryset(request)).select_related("changed_by")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        # Its cells are deleted with it; they have no permissions of their own.
        return found, counts, set(), protected

    def add_to_rows(self, rows: list[Any]) -> None:
        counts = count_by_state(rows)
        newest = SuiteRun.objects.filter(suite=OuterRef("pk")).order_by("-started_at", "-id").values("pk")[:1]
        keys = Suite.objects.filter(pk__in=[row.pk for row in rows]).values_list(Subquery(newest), flat=True)
        runs = {run.suite_id: run for run in SuiteRun.objects.filter(pk__in=list(keys)).defer("document")}
        for row in rows:
            row.counts = counts[row.name]
            row.newest = runs.get(row.pk)

    @admin.display(description="state")
    def state(self, suite: Any) -> SafeString:
        return suite_badge(find_gravest(suite.counts))

    @admin.display(description="cells")
    def cell_counts(self, suite: Any) -> str:
        found = (f"{count} {state.replace('_', ' ')}" for state, count in suite.counts.items() if count)
        return ", ".join(found) or "-"

    @admin.display(description="last run")
    def last_run(self, suite: Any) -> SafeString | str:
        return suite_run_badge(suite.newest) if suite.newest is not None else "-"

    def save_model(self, request: HttpRequest, obj: Suite, form: Any, change: bool) -> None:
        stored = storage.save_suite(form.parsed, by=cast("User", request.user))
        obj.pk = stored.pk
        obj.refresh_from_db()

    def delete_row(self, row: Suite, *, by: User) -> None:
        storage.remove_suite(row.name, by=by)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A suggestion of a service's page starts with a document for that service."""
        document = request.GET.get("document", "")
        return {"document": document} if document else {}

    def page_context(self, request: HttpRequest, row: Suite | None) -> dict[str, Any]:
        """The matrix and the last runs."""
        shown: dict[str, Any] = {"show_save_and_add_another": False}
        if row is None:
            return shown
        runs = list(row.runs.select_related("started_by").defer("document")[:LAST_RUNS])
        running = next((run for run in runs if run.state == SuiteRunState.RUNNING), None)
        badge = reverse("suite_badge", args=[row.name, compute_key(row.name)])
        return {
            **shown,
            "matrix": read_matrix(row),
            "running": running,
            "suite_runs": runs,
            "may_run": request.user.has_perm("scenarios.run_scenario"),
            "may_stop": request.user.has_perm("scenarios.stop_run"),
            "badge_address": request.build_absolute_uri(badge),
        }

    # Writing

    @page("draft/", post_only=True)
    def draft_page(self, request: HttpRequest) -> HttpResponse:
        """The errors of the document in the body, or what it would try; nothing is stored."""
        try:
            document = read_suite(request.body)
        except InvalidDocument as error:
            names = ("line", "column", "message", "hint")
            problems = [{name: getattr(problem, name) for name in names} for problem in error.problems]
            return JsonResponse({"problems": problems, "plan": ""})
        return JsonResponse({"problems": [], "plan": describe_cells(document)})

    @page("schema/")
    def schema_page(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse(describe_suites())

    # Running

    @button("<int:pk>/run/", permission="scenarios.run_scenario")
    def run(self, request: HttpRequest, suite: Suite) -> HttpResponse:
        suite_run = start_suite(suite, origin="admin", by=cast("User", request.user))
        self.message_user(request, f"Run {suite_run.short_id} of the suite is {suite_run.verdict}.")
        return HttpResponseRedirect(reverse("admin:scenarios_suite_runs", args=[suite.pk, suite_run.pk]))

    @button("<int:pk>/stop/", permission="scenarios.stop_run")
    def stop(self, request: HttpRequest, suite: Suite) -> None:
        running = suite.runs.filter(state=SuiteRunState.RUNNING).first()
        if running is not None and request_suite_stop(running, by=request.user.get_username()):
            self.message_user(request, "The suite is stopping. Faults are undone first.")
        else:
            self.message_user(request, "The suite is not running or is stopping.", messages.WARNING)

    @page("<int:pk>/runs/<uuid:run>/")
    def run_page(self, request: HttpRequest, pk: int, run: UUID) -> HttpResponse:
        """The cells of one run of the suite."""
        suite = self.find_visible(request, pk)
        suite_run = get_object_or_404(suite.runs.select_related("started_by"), pk=run)
        cells = suite_run.cells.select_related("run").defer("run__document", "run__variables")
        context = {
            "original": suite,
            "suite_run": suite_run,
            "cells": cells.order_by("order"),
            "may_stop": request.user.has_perm("scenarios.stop_run"),
        }
        return self.render(request, f"{TEMPLATES}/run.html", f"Suite {suite_run}", **context)

    # Versions

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        suite = self.find_visible(request, object_id)
        before = request.GET.get("before", "")
        versions = list_versions(suite, before=int(before) if before.isdecimal() else None)
        context = {
            "original": suite,
            "versions": versions,
            "older": versions[-1].key if len(versions) == VERSIONS_PER_PAGE else None,
            "is_newest_page": not before,
            "may_restore": self.has_change_permission(request, suite),
            "list_page": "admin:scenarios_suite_changelist",
            "row_page": "admin:scenarios_suite_change",
            "restore_page": "admin:scenarios_suite_restore",
            **(extra_context or {}),
        }
        return self.render(
            request, "admin/scenarios/scenario/history.html", f"History of {suite.name}", **context
        )

    @button("<int:pk>/restore/<int:version>/", permission="change")
    def restore(self, request: HttpRequest, suite: Suite, version: int) -> HttpResponse:
        try:
            storage.restore_version(suite, version, by=cast("User", request.user))
        except ObjectDoesNotExist as error:
            raise Http404(f"{suite.name} has no version {version}") from error
        except InvalidDocument as error:
            self.message_user(request, f"That version is no longer valid: {error}", messages.ERROR)
        else:
            self.message_user(request, "Version restored as the newest version.", messages.SUCCESS)
        return HttpResponseRedirect(address(suite, "history"))


def describe_cells(document: SuiteDocument) -> SafeString:
    """What a run of the suite would try."""
    cells = storage.list_cells(document)
    obstacles = find_obstacles(document, cells)
    tried = format_count(len(cells) - len(obstacles), "cell")
    return format_html("<p>A run tries {} and skips {}.</p>", tried, len(obstacles))
