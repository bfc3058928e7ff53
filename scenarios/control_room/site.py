"""The admin site: its name, its header and Home.

It is not in the package `admin`, because that registers pages with the site when it is imported.
"""

from collections.abc import Callable
from functools import update_wrapper
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, URLResolver, path, reverse

from scenarios.access.page_after_login import (
    ENDED_LOGIN,
    LOGIN_BY_PROVIDER,
    find_page_of_form,
    set_saved_page,
)
from scenarios.control_room import guide, home_page
from scenarios.control_room.system_state import describe_targets
from scenarios.domain.counts import format_count
from scenarios.runs import global_stop

# Text in the header, URL name, and the permission that the page needs, if any.
PLACES = (
    ("Scenarios", "scenarios_scenario_changelist", "scenarios.view_scenario"),
    ("Suites", "scenarios_suite_changelist", "scenarios.view_scenario"),
    ("Runs", "scenarios_run_changelist", "scenarios.view_run"),
    ("Faults", "scenarios_fault_changelist", "scenarios.view_fault"),
    ("Services", "scenarios_service_changelist", "scenarios.view_service"),
    ("Environments", "scenarios_environment_changelist", "scenarios.view_environment"),
    ("Hosts", "scenarios_host_changelist", "scenarios.view_host"),
    ("Schedules", "scenarios_schedule_changelist", "scenarios.view_schedule"),
    ("Approvals", "scenarios_approval_changelist", "scenarios.view_approval"),
    ("Webhooks", "scenarios_webhook_changelist", "scenarios.view_webhook"),
    ("Allow lists", "scenarios_allowlist_changelist", "scenarios.view_allowlist"),
    ("People", "auth_user_changelist", "auth.view_user"),
    ("Audit", "scenarios_auditentry_changelist", "scenarios.view_auditentry"),
    ("Guide", "guide_index", ""),
)


class ControlRoom(admin.AdminSite):
    site_header = "Test Coordinator"
    site_title = "Test Coordinator"
    index_title = "Control room"
    site_url = None
    enable_nav_sidebar = False  # the header has all links
    index_template = "admin/control_room.html"
    logout_template = "admin/logged_out.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        super().register(model_or_iterable, admin_class, **options)
        for model_admin in self._registry.values():
            # Facets need a column for each choice of a filter. Many scenarios would need more columns than a
            # database has, and counting all rows for each would be slow.
            model_admin.show_facets = admin.ShowFacets.NEVER  # type: ignore[misc]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "places": self.places(request)}

    def places(self, request: HttpRequest) -> list[dict[str, Any]]:
        places = []
        for name, page, permission in PLACES:
            try:
                address = reverse(f"{self.name}:{page}")
            except NoReverseMatch:
                continue  # the site may have unregistered the page
            if not permission or request.user.has_perm(permission):
                places.append({"name": name, "address": address, "is_here": request.path.startswith(address)})
        return places

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [
            path("now/", self.admin_view(self.now_view), name="now"),
            path("targets/", self.admin_view(self.targets_view), name="targets"),
            path("stop/", self.admin_view(self.stop_view), name="global_stop"),
            path("guide/", self.admin_view(self.guide_view), name="guide_index"),
            path("guide/<slug:name>/", self.admin_view(self.guide_view), name="guide"),
            *super().get_urls(),
        ]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        guarded: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        def answered(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            if request.method != "POST":
                return guarded(request, *arguments, **named)
            may_enter = self.has_permission(request)
            response = guarded(request, *arguments, **named)
            if response.status_code != HTTPStatus.FOUND:
                return response
            if not may_enter and request.path != reverse(f"{self.name}:logout"):
                return redirect_to_login(find_page_of_form(request), reverse(f"{self.name}:login"))
            set_saved_page(request, response)
            return response

        return update_wrapper(answered, guarded)

    def stop_view(self, request: HttpRequest) -> HttpResponse:
        """Pulls the global stop with a reason, or releases it."""
        if request.method != "POST" or not request.user.has_perm("scenarios.pull_globalstop"):
            raise PermissionDenied
        if "release" in request.POST:
            global_stop.release_global_stop()
            messages.success(request, "Global stop released. Runs may start again.")
        else:
            reason = request.POST.get("reason", "").strip() or "no reason"
            stopped = global_stop.pull_global_stop(by=request.user.get_username(), reason=reason)
            message = f"Stopping {format_count(stopped, 'run')}. Faults are undone first."
            messages.warning(request, f"{message} No run starts until you release the stop.")
        return HttpResponseRedirect(reverse(f"{self.name}:index"))

    def guide_view(self, request: HttpRequest, name: str = next(iter(guide.PAGES))) -> TemplateResponse:
        try:
            page = guide.read_page(name)
        except KeyError as error:
            raise Http404(
                f"unknown page {name!r} of the guide; choose one of {', '.join(guide.PAGES)}"
            ) from error
        context = {**self.each_context(request), "title": page.title, "page": page, "pages": guide.PAGES}
        return TemplateResponse(request, "admin/guide.html", context)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if "HX-Request" in request.headers:
            # The session ended during a poll: reload the whole page, so that it shows the login.
            return HttpResponse(headers={"HX-Refresh": "true"})
        sso = (
            {"name": settings.OIDC_NAME, "next": request.GET.get("next", "")}
            if settings.OIDC_ISSUER
            else None
        )
        return super().login(request, {"sso": sso, **(extra_context or {})})

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Offers to end the login at the provider, too: otherwise one click lets the next person in."""
        id_token = request.session.get(LOGIN_BY_PROVIDER, {}).get("id_token", "")
        sso = {"name": settings.OIDC_NAME} if settings.OIDC_ISSUER and id_token else None
        response = super().logout(request, {"sso": sso, **(extra_context or {})})
        if sso is not None:
            request.session[ENDED_LOGIN] = id_token
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        may_look = request.user.has_perms(home_page.NEEDED)
        context = {"may_look": may_look, **(home_page.build_home(request) if may_look else {})}
        return super().index(request, {**context, **(extra_context or {})})

    def now_view(self, request: HttpRequest) -> HttpResponse:
        """The live part of Home; 204 if the browser has the newest."""
        if not request.user.has_perms(home_page.NEEDED):
            raise PermissionDenied
        context = home_page.build_now(request)
        if context["mark"] == request.GET.get("after"):
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        return TemplateResponse(request, "scenarios/now.html", context)

    def targets_view(self, request: HttpRequest) -> HttpResponse:
        """How the registered fault proxies and hosts answer now; asked for after Home has been shown."""
        sees = {"with_services": "scenarios.view_service", "with_hosts": "scenarios.view_host"}
        permitted = {name: request.user.has_perm(permission) for name, permission in sees.items()}
        if not any(permitted.values()):
            raise PermissionDenied
        context = {"parts": describe_targets(**permitted)}
        return TemplateResponse(request, "scenarios/parts.html", context)
