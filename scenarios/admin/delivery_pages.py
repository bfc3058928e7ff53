"""Deliveries: what was sent to whom, how it was answered, and the button that sends it again."""

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models import Delivery
from scenarios.notifications import deliveries
from scenarios.pictures.badges import delivery_badge

CHANGE = "scenarios.change_webhook"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["message", "to", "standing", "run_link", "created_at", "tries", "status", "reason"]
    list_filter = ["state", "message", "webhook"]
    list_select_related = ["webhook"]
    list_per_page = 50
    show_full_result_count = False
    fields = ["message"]
    actions = ["send_again"]
    change_form_template = "admin/scenarios/delivery/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.select_related("run", "webhook").defer("run__document", "run__variables")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Deliveries", **(extra_context or {})})

    @admin.display(description="to", ordering="webhook")
    def to(self, delivery: Delivery) -> str:
        return delivery.receiver

    @admin.display(description="state", ordering="state")
    def standing(self, delivery: Delivery) -> SafeString:
        return delivery_badge(delivery)

    @admin.display(description="run")
    def run_link(self, delivery: Delivery) -> str:
        if delivery.run is None:
            return "-"
        page = reverse("admin:scenarios_run_change", args=[delivery.run_id])
        return format_html('<a href="{}">{}</a>', page, delivery.run)

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.again_view)
        return [path("<int:pk>/again/", again, name="scenarios_delivery_again"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        delivery: Delivery | None = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = {"may_change": request.user.has_perm(CHANGE)}
        if delivery is not None:
            more["standing"] = delivery_badge(delivery)
            more["payload"] = json.dumps(json.loads(delivery.payload), indent=2, ensure_ascii=False)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    @admin.action(description="Send again", permissions=["view"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        self._tell(request, deliveries.send_again(queryset))

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST" or not request.user.has_perm(CHANGE):
            raise PermissionDenied
        self._tell(request, deliveries.send_again(Delivery.objects.filter(pk=pk)))
        return HttpResponseRedirect(reverse("admin:scenarios_delivery_change", args=[pk]))

    def _tell(self, request: HttpRequest, count: int) -> None:
        if count:
            self.message_user(
                request, f"{count} deliveries are due: the watchdog sends them within a second."
            )
        else:
            words = "Nothing to do: it is being sent this moment, or due within a minute."
            self.message_user(request, words, messages.WARNING)
