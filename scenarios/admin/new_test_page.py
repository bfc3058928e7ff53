"""The page *New test*, which makes a scenario for a service by choosing."""

from collections.abc import Mapping
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from scenarios.admin.drawn_plans import draw_plan, find_delays, show_at_fields
from scenarios.admin.pages import PageAdmin, address, page
from scenarios.control_room import new_test
from scenarios.domain.errors import InvalidDocument, InvalidVariables, ScenarioError
from scenarios.drivers import documents
from scenarios.language.document import Document, build_plan
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.shipped_tests import list_shipped_tests, write_test
from scenarios.library.warnings import look_for_targets
from scenarios.models import Scenario
from scenarios.pictures.client_view import draw_client_view
from scenarios.runs import commands as run_commands


class NewTestPage(PageAdmin):
    @page("new-test/", permission="add")
    def new_test_page(self, request: HttpRequest) -> HttpResponse:
        """Asks what must keep working and what breaks, then writes a scenario; it may also start it."""
        site = new_test.Site.read(request.user)
        service, chosen = request.GET.get("service", ""), request.GET.get("break", "")
        test = list_shipped_tests().get(chosen)
        context: dict[str, Any] = {"site": site, "service": service if service in site.services else ""}
        if context["service"] and test is not None:
            form = new_test.NewTestForm(test, service, site, request.POST or None)
            if form.is_valid() and (response := self._preview_or_save(request, form, context)) is not None:
                return response
            if not form.is_bound:
                context |= preview(form, form.list_defaults())
            context |= {"form": form, "test": test, "picture": draw_client_view(test.name)}
        elif context["service"]:
            context["groups"] = list(new_test.list_cards(site))
        return self.render(request, "admin/scenarios/scenario/new_test.html", "New test", **context)

    def _preview_or_save(
        self, request: HttpRequest, form: new_test.NewTestForm, context: dict[str, Any]
    ) -> HttpResponse | None:
        try:
            document = write(form, form.cleaned_data["new_name"], form.read_typed_values())
            plan = build_plan(document, {})
        except InvalidVariables as error:
            show_at_fields(form, error)
            return None
        except InvalidDocument as error:
            form.add_error("new_name", [str(problem.message) for problem in error.problems])
            return None
        if "run" in request.POST and request.user.has_perm("scenarios.run_scenario"):
            return self._run(request, form, document)
        if "save" in request.POST:
            stored = save(request, form, document)
            self.message_user(request, "Saved. Nothing was broken yet: run it when you are ready.")
            return HttpResponseRedirect(address(stored, "run"))
        context |= {"plan": draw_plan(plan), "delays": find_delays(document)}
        if form.dependency is None:
            targets = look_for_targets(plan)
            context |= {"targets": targets.chosen, "unreachable": targets.unreachable}
        return None

    def _run(self, request: HttpRequest, form: new_test.NewTestForm, document: Document) -> HttpResponse:
        by = cast("User", request.user)
        stored = save(request, form, document)
        try:
            run = run_commands.start_run(stored.document, {}, origin="admin", scenario=stored, by=by)
        except ScenarioError as error:
            self.message_user(request, f"Saved, but not started: {error}", messages.WARNING)
            return HttpResponseRedirect(address(stored, "run"))
        self.message_user(request, f"Saved as {stored.name}, and started.")
        return HttpResponseRedirect(address(run))


@transaction.atomic
def save(request: HttpRequest, form: new_test.NewTestForm, document: Document) -> Scenario:
    """Also registers what breaks, where the form asks for it."""
    if form.dependency is not None:
        form.dependency.register()
    return stored_scenarios.save_scenario(document, by=cast("User", request.user))


def write(form: new_test.NewTestForm, name: str, values: Mapping[str, Any]) -> Document:
    return documents.read_document(write_test(form.test, name, new_test.describe(form.test, values), values))


def preview(form: new_test.NewTestForm, values: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with these values, before anything is sent; nothing where they make none."""
    try:
        document = write(form, form.test.name, values)
        return {"plan": draw_plan(build_plan(document, {})), "delays": find_delays(document)}
    except (InvalidVariables, InvalidDocument):
        return {}
