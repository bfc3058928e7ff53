"""What a person does with several scenarios at once: run them, and change their tags."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from scenarios.admin.deletion import GONE, DeletedByServiceAdmin, refuse_many
from scenarios.admin.drawn_plans import draw_plan, find_delays
from scenarios.admin.requested_deletions import RequestedDeletionsAdmin
from scenarios.control_room.variable_forms import build_environment_field
from scenarios.domain.counts import format_count
from scenarios.domain.declarations import MAX_NAME_LENGTH
from scenarios.domain.errors import InvalidDocument, InvalidVariables, ScenarioError, UnknownEnvironment
from scenarios.drivers.documents import read_document, read_included
from scenarios.library import tags
from scenarios.models import Environment, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs.approval_gate import find_touched_services
from scenarios.runs.deletion_requests import find_removal_obstacle
from scenarios.runs.environments import plan_in

# More would wait behind each other for hours, and their plans would fill no readable page.
MAX_RUN_AT_ONCE = 20
BEING_DELETED = "it is being deleted"
CHANGED = (
    "Nothing was started: another environment is chosen, or a selected scenario has changed or is gone, "
    "since these plans were shown."
)


class TagForm(forms.Form):
    tag = forms.CharField(max_length=MAX_NAME_LENGTH, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class EnvironmentForm(forms.Form):
    """Asks for the environment, if there are any."""

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        if names := list(Environment.objects.values_list("name", flat=True)):
            self.fields["environment"] = build_environment_field(names)

    @property
    def environment(self) -> str:
        return str(self.cleaned_data.get("environment", "")) if self.is_valid() else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selected scenario; without a plan, `obstacle` says why it cannot be run in this way."""

    scenario: Scenario
    included: Mapping[str, str] = field(default_factory=dict)
    plan: str = ""
    touched: Sequence[str] = ()
    delays: Sequence[str] = ()
    obstacle: str = ""


class ScenarioActions(RequestedDeletionsAdmin, DeletedByServiceAdmin):
    deletion_field = "scenario"
    actions = ("run_selected", "add_tag", "remove_tag")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.run_scenario")

    def find_obstacles(self, rows: Sequence[Scenario]) -> dict[Any, str]:
        return {
            row.pk: sentence
            for row in rows
            if (sentence := BEING_DELETED if row.is_being_deleted else find_removal_obstacle(row))
        }

    # Running

    @admin.action(description="Run selected scenarios…", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> HttpResponse | None:
        """Asks with the plan of each, then starts them with the defaults of their variables."""
        if refuse_many(self, request, queryset, MAX_RUN_AT_ONCE):
            return None
        scenarios = list(queryset)
        if not scenarios:
            self.message_user(request, GONE, messages.WARNING)
            return None
        form = EnvironmentForm(request.POST if "post" in request.POST else None)
        candidates = [build_candidate(scenario, form.environment) for scenario in scenarios]
        ready = [candidate for candidate in candidates if not candidate.obstacle]
        seen = compute_digest(ready, form.environment)
        if form.is_valid() and "show" not in request.POST:
            if request.POST.get("seen") == seen:
                return self._start(request, ready, form.environment)
            self.message_user(request, CHANGED, messages.WARNING)
        context = {
            "form": form,
            "ready": ready,
            "selected": scenarios,
            "refused": [candidate for candidate in candidates if candidate.obstacle],
            "seen": seen,
        }
        template = "admin/scenarios/scenario/run_selected.html"
        return self.render(request, template, "Run selected scenarios", **context)

    def _start(self, request: HttpRequest, candidates: Sequence[Candidate], environment: str) -> HttpResponse:
        started, refused = 0, []
        for scenario in (candidate.scenario for candidate in candidates):
            try:
                run_commands.start_run(
                    scenario.document,
                    {},
                    origin="admin",
                    scenario=scenario,
                    by=cast("User", request.user),
                    environment=environment,
                )
            except ScenarioError as error:
                refused.append(f"{scenario.name} was not started: {error}")
            else:
                started += 1
        self.show_each(request, refused, messages.WARNING)
        sentence = (
            f"Started {format_count(started, 'run')}. Each begins as soon as nothing holds what it needs."
        )
        self.message_user(request, sentence, messages.SUCCESS if started else messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scenarios_run_changelist"))

    # Tags

    @admin.action(description="Add a tag…", permissions=["change"])
    def add_tag(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> HttpResponse | None:
        return self._change_tags(request, queryset, "add_tag")

    @admin.action(description="Remove a tag…", permissions=["change"])
    def remove_tag(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> HttpResponse | None:
        return self._change_tags(request, queryset, "remove_tag")

    def _change_tags(
        self, request: HttpRequest, queryset: QuerySet[Scenario], action: str
    ) -> HttpResponse | None:
        """Asks for the tag, then changes the documents one by one; a document that cannot be is left."""
        if refuse_many(self, request, queryset):
            return None
        scenarios = list(queryset)
        if not scenarios:
            self.message_user(request, GONE, messages.WARNING)
            return None
        form = TagForm(request.POST if "post" in request.POST else None)
        if not form.is_valid():
            context = {
                "form": form,
                "action": action,
                "selected": scenarios,
                "present": sorted({tag for scenario in scenarios for tag in scenario.tags}),
                "is_removal": action == "remove_tag",
            }
            title = "Remove a tag" if action == "remove_tag" else "Add a tag"
            return self.render(request, "admin/scenarios/scenario/tag_selected.html", title, **context)
        change = tags.remove_tag if action == "remove_tag" else tags.add_tag
        changed, refused = 0, []
        for scenario in scenarios:
            try:
                changed += change(scenario, form.cleaned_data["tag"], by=cast("User", request.user))
            except ScenarioError as error:
                refused.append(str(error))
        self.show_each(request, refused, messages.WARNING)
        sentence = f"Changed {format_count(changed, 'scenario')}; the others had nothing to change."
        whole = changed == len(scenarios)
        self.message_user(request, f"Changed {format_count(changed, 'scenario')}." if whole else sentence)
        return None


def build_candidate(scenario: Scenario, environment: str) -> Candidate:
    if scenario.is_being_deleted:
        return Candidate(scenario, obstacle=BEING_DELETED)
    try:
        document = read_document(scenario.document)
        included = read_included(document)
        if included:
            document = read_document(scenario.document, included)
        plan = plan_in(document, {}, environment)
    except InvalidDocument as error:
        return Candidate(scenario, obstacle=f"its document is not valid: {error}")
    except UnknownEnvironment as error:
        return Candidate(scenario, obstacle=str(error))
    except InvalidVariables as error:
        return Candidate(scenario, obstacle=f"{error}; run it by itself")
    touched, delays = find_touched_services(plan, environment), find_delays(document, environment)
    return Candidate(scenario, included, draw_plan(plan), touched, delays)


def compute_digest(candidates: Sequence[Candidate], environment: str) -> str:
    """Of the documents that runs of them would carry out, and of the environment's name."""
    found = hashlib.sha256(environment.encode())
    for candidate in sorted(candidates, key=lambda candidate: candidate.scenario.pk):
        parts = [str(candidate.scenario.pk), candidate.scenario.document, *candidate.included.values()]
        for part in parts:
            found.update(hashlib.sha256(part.encode()).digest())
    return found.hexdigest()
