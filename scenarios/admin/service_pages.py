"""The services that scenarios act on: their health, which run holds them, which scenarios use them."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import JSONField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.discovery_page import DiscoveryPage
from scenarios.admin.filtered_lists import PROBED, TOUCHED
from scenarios.admin.named_rows import NamedRowsAdmin
from scenarios.admin.pages import address, link, page
from scenarios.admin.service_queries import QueriesInline, list_fields, try_sent_query
from scenarios.admin.suggestion_addresses import find_address, find_suite_address
from scenarios.charts.query_presets import PRESETS
from scenarios.control_room import home_queries
from scenarios.control_room.service_forms import AddressForm
from scenarios.domain.counts import format_count
from scenarios.library import services as registered_services
from scenarios.library.proxy_checks import check_proxy
from scenarios.library.service_health import Health, check_health, check_unsaved_health
from scenarios.library.suggestions import list_suggestions
from scenarios.models import Hold, Service
from scenarios.pictures.badges import badge

PROTECT = "scenarios.protect_service"


class HeldFilter(admin.SimpleListFilter):
    title = "held by a run"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Service]) -> QuerySet[Service]:
        if self.value() not in {"yes", "no"}:
            return queryset
        held = Hold.objects.values("service")
        return queryset.filter(name__in=held) if self.value() == "yes" else queryset.exclude(name__in=held)


class ProxyFilter(admin.SimpleListFilter):
    title = "fault proxy"
    parameter_name = "has_proxy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Service]) -> QuerySet[Service]:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.exclude(proxy="") if self.value() == "yes" else queryset.filter(proxy="")


class EmptyJSONField(forms.JSONField):
    """Is empty for no value, where Django's own shows "null"."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


@admin.register(Service)
class ServiceAdmin(DiscoveryPage, DeletedByServiceAdmin, NamedRowsAdmin):
    empty_hint = "Add those that your scenarios use."
    inlines = [QueriesInline]
    formfield_overrides = {JSONField: {"form_class": EmptyJSONField}}
    list_display = [
        "name",
        "base_url",
        "health",
        "protection",
        "held_by",
        "touched_by",
        "probed_by",
        "description",
    ]
    list_filter = ["is_protected", HeldFilter, ProxyFilter]
    fields = [
        "name",
        "base_url",
        ("health_path", "health_status"),
        ("proxy", "proxy_listener", "proxy_secret"),
        ("tls", "auth"),
        "description",
        "is_protected",
    ]
    change_form_template = "admin/scenarios/service/change_form.html"
    search_fields = ["name", "description", "base_url", "proxy"]
    list_per_page = 50
    change_list_template = "admin/scenarios/service/change_list.html"

    def find_obstacles(self, rows: Sequence[Service]) -> dict[Any, str]:
        held = home_queries.find_holders()
        return {row.pk: f"it is held by {held[row.name]}" for row in rows if row.name in held}

    def add_to_rows(self, rows: list[Any]) -> None:
        held = home_queries.find_holders()
        uses = home_queries.find_uses(row.name for row in rows)
        for row in rows:
            row.holder, row.uses = held.get(row.name), uses.get(row.name, home_queries.Uses())

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        presets = {
            "presets": PRESETS,
            "preset_queries": {key: list_fields(preset) for key, preset in PRESETS.items()},
        }
        if row is None:
            return presets
        row.holder = home_queries.find_holders().get(row.name)
        row.uses = home_queries.find_uses_of_one(row.name)
        return {
            **presets,
            "health": self.health(row),
            "held_by": self.held_by(row),
            "touched_by": self.touched_by(row),
            "probed_by": self.probed_by(row),
        }

    # Moving or deleting a protected service would be a way around its protection.

    def get_readonly_fields(self, request: HttpRequest, obj: Service | None = None) -> list[str]:
        return [] if request.user.has_perm(PROTECT) else ["is_protected"]

    def get_form(self, request: HttpRequest, *arguments: Any, **named: Any) -> type[forms.ModelForm]:
        form = {} if request.user.has_perm(PROTECT) else {"form": AddressForm}
        return super().get_form(request, *arguments, **{**form, **named})

    def has_change_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Service | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, service: Service | None) -> bool:
        return service is None or not service.is_protected or request.user.has_perm(PROTECT)

    def save_model(self, request: HttpRequest, obj: Service, form: Any, change: bool) -> None:
        registered_services.save_service(obj)

    def response_add(
        self, request: HttpRequest, obj: Service, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Also offers the next step: people register a service in order to test it."""
        response = super().response_add(request, obj, post_url_continue)
        if request.user.has_perm("scenarios.add_scenario"):
            query = urlencode({"service": obj.name})
            test = f"{reverse('admin:scenarios_scenario_new-test')}?{query}"
            if "_test" in request.POST:
                return HttpResponseRedirect(test)
            self.message_user(request, format_html('Next: <a href="{}">Test {}…</a>', test, obj.name))
        return response

    def delete_row(self, row: Service, *, by: User) -> None:
        registered_services.delete_service(row)

    @admin.display(description="health")
    def health(self, service: Service) -> SafeString:
        # One request for each service, so that a service that hangs delays no other.
        return format_html(
            '<span hx-get="{0}" hx-trigger="load, every 10s" aria-live="polite">'
            '<a href="{0}">Check</a></span>',
            address(service, "health"),
        )

    @admin.display(description="protection", ordering="is_protected")
    def protection(self, service: Service) -> SafeString | str:
        return badge("protected") if service.is_protected else "-"

    @admin.display(description="held by")
    def held_by(self, service: Any) -> str:
        return link(service.holder) if service.holder is not None else "-"

    @admin.display(description="touched by")
    def touched_by(self, service: Any) -> str:
        return _link_scenarios(service.name, service.uses.touching, TOUCHED)

    @admin.display(description="only probed by")
    def probed_by(self, service: Any) -> str:
        return _link_scenarios(service.name, service.uses.probing, PROBED)

    @page("<int:pk>/health/")
    def health_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        service = get_object_or_404(Service, pk=pk)
        context = {"health": check_health(service)}
        return self._show_part(request, service, "admin/scenarios/service/health.html", context)

    @page("<int:pk>/proxy/")
    def proxy_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the service's fault proxy says of itself now."""
        service = get_object_or_404(Service, pk=pk)
        context = {"findings": check_proxy(service)}
        return self._show_part(request, service, "admin/scenarios/findings.html", context)

    def _show_part(
        self, request: HttpRequest, service: Service, template: str, context: dict[str, Any]
    ) -> HttpResponse:
        """The part alone for the script that asks; a whole page for people without scripts."""
        if "HX-Request" in request.headers:
            return TemplateResponse(request, template, context)
        whole = "admin/scenarios/service/part.html"
        context = {**context, "service": service, "part": template}
        return self.render(request, whole, f"{service.name} now", **context)

    @page("<int:pk>/suggestions/")
    def suggestions_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Its dependencies that no scenario breaks, asked for after the page has been shown; may be empty."""
        service = get_object_or_404(Service, pk=pk)
        suggestions = list_suggestions(service)
        context = {
            "suggestions": [(one, find_address(one, service)) for one in suggestions],
            "suite_address": find_suite_address(service, suggestions)
            if request.user.has_perm("scenarios.add_scenario")
            else "",
        }
        return TemplateResponse(request, "admin/scenarios/service/suggestions.html", context)

    def has_try_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) or request.user.has_perm("scenarios.change_service")

    @page("try/", permission="try", post_only=True)
    def try_page(self, request: HttpRequest) -> HttpResponse:
        """Ask the service that the form describes for its health; nothing is stored."""
        fields = {name: request.POST.get(name, "").strip() for name in ("base_url", "health_path")}
        status = request.POST.get("health_status", "").strip()
        service = Service(
            name="tried",
            **{name: value for name, value in fields.items() if value},
            health_status=int(status) if status.isdecimal() else None,
        )
        try:
            service.clean_fields(exclude=["name"])
        except ValidationError as error:
            sentences = " ".join(" ".join(messages) for messages in error.message_dict.values())
            health = Health(is_well=False, sentence=sentences)
        else:
            health = check_unsaved_health(service)
        return TemplateResponse(request, "admin/scenarios/service/health.html", {"health": health})

    @page("try-query/", permission="try", post_only=True)
    def try_query_page(self, request: HttpRequest) -> HttpResponse:
        """The curve that one of the form's queries gives now; nothing is stored."""
        context = try_sent_query(request.POST.dict())
        return TemplateResponse(request, "admin/scenarios/service/tried_query.html", context)


def _link_scenarios(service: str, use: home_queries.Use, way: str) -> str:
    """The scenarios, and a link to all that use the service in this way where more do."""
    places = ((reverse("admin:scenarios_scenario_change", args=[key]), name) for key, name in use.scenarios)
    links = format_html_join(", ", '<a href="{}">{}</a>', places)
    more = use.count - len(use.scenarios)
    if not more:
        return links or "-"
    query = urlencode({"service": service, "use": way})
    rest = f" and {more} more" if links else format_count(more, "scenario")
    address = reverse("admin:scenarios_scenario_changelist")
    return format_html('{}<a href="{}?{}">{}</a>', links, address, query, rest)
