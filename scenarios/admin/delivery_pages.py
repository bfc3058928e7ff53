"""Deliveries: what was sent to whom, how it was answered, and a button to send it again."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from scenarios.admin.pages import button, link
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models import Delivery
from scenarios.notifications import deliveries
from scenarios.pictures.badges import delivery_badge

CHANGE = "scenarios.change_webhook"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    empty_hint = "Messages to webhooks are listed here."
    list_display = ["message", "to", "badge", "run_link", "created_at", "tries", "status", "reason"]
    list_filter = ["state", "message", "webhook"]
    list_select_related = ["webhook"]
    list_per_page = 50
    show_full_result_count = False
    fields = ["message"]
    actions = ["send_selected"]
    change_form_template = "admin/scenarios/delivery/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.select_related("run", "webhook").defer("run__document", "run__included", "run__variables")

    @admin.display(description="to", ordering="webhook")
    def to(self, delivery: Delivery) -> str:
        return delivery.receiver

    @admin.display(description="state", ordering="state")
    def badge(self, delivery: Delivery) -> SafeString:
        return delivery_badge(delivery)

    @admin.display(description="run")
    def run_link(self, delivery: Delivery) -> str:
        return link(delivery.run) if delivery.run is not None else "-"

    def page_context(self, request: HttpRequest, row: Delivery | None) -> dict[str, Any]:
        if row is None:
            return {}
        return {
            "badge": delivery_badge(row),
            "payload": json.dumps(json.loads(row.payload), indent=2, ensure_ascii=False),
        }

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHANGE)

    @admin.action(description="Send again", permissions=["send"])
    def send_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        if count := deliveries.send_again(queryset):
            what = "The delivery" if count == 1 else f"{count} deliveries"
            self.message_user(request, f"{what} will be sent again within a second.")
        else:
            sentence = "Nothing to send again: it is being sent now, or will be within a minute."
            self.message_user(request, sentence, messages.WARNING)

    @button("<int:pk>/again/", permission=CHANGE)
    def send_again(self, request: HttpRequest, delivery: Delivery) -> None:
        self.send_selected(request, Delivery.objects.filter(pk=delivery.pk))
