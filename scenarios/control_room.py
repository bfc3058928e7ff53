"""The admin site: its name, the places in its header, its home.

Not in the package `admin`: importing that registers pages with the site, which must be there by then.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse

# Name in the header, admin page, the permission it needs.
PLACES = (
    ("Scenarios", "scenarios_scenario_changelist", "scenarios.view_scenario"),
    ("Runs", "scenarios_run_changelist", "scenarios.view_run"),
    ("Faults", "scenarios_fault_changelist", "scenarios.view_fault"),
    ("Services", "scenarios_service_changelist", "scenarios.view_service"),
)


class ControlRoom(admin.AdminSite):
    site_header = "Test Coordinator"
    site_title = "Test Coordinator"
    index_title = "Control room"
    site_url = None
    enable_nav_sidebar = False  # the header names every place

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "places": self.places(request)}

    def places(self, request: HttpRequest) -> list[dict[str, Any]]:
        places = []
        for name, page, permission in PLACES:
            try:
                address = reverse(f"{self.name}:{page}")
            except NoReverseMatch:
                continue  # a site may unregister a page
            if request.user.has_perm(permission):
                places.append({"name": name, "address": address, "is_here": request.path.startswith(address)})
        return places

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, extra_context)
