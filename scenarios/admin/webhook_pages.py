"""Webhooks: where messages about runs are sent. A new secret is shown once, right after it is created."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.pages import button
from scenarios.admin.requested_deletions import RequestedDeletionsAdmin
from scenarios.control_room.webhook_forms import WebhookForm
from scenarios.models import Webhook
from scenarios.notifications import webhooks
from scenarios.pictures.badges import badge
from scenarios.runs import deletion_requests

CHANGE = "scenarios.change_webhook"
LAST_DELIVERIES = 10


@admin.register(Webhook)
class WebhookAdmin(RequestedDeletionsAdmin, DeletedByServiceAdmin):
    deletion_field = "webhook"
    empty_hint = "Add one to send messages about runs to another program."
    form = WebhookForm
    list_display = ["name", "kind", "url", "event_list", "badge", "last_delivery"]
    search_fields = ["name", "url"]
    list_per_page = 50
    change_list_template = "admin/scenarios/webhook/change_list.html"
    change_form_template = "admin/scenarios/webhook/change_form.html"

    @admin.display(description="events")
    def event_list(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events)

    @admin.display(description="state", ordering="is_enabled")
    def badge(self, webhook: Webhook) -> SafeString:
        return badge("passed", "enabled") if webhook.is_enabled else badge("aborted", "disabled")

    @admin.display(description="last delivery")
    def last_delivery(self, webhook: Webhook) -> str:
        last = webhook.deliveries.defer("payload").first()
        return f"{last.state}, {last.created_at:%Y-%m-%d %H:%M}" if last is not None else "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        rows: QuerySet[Webhook] = super().get_queryset(request)
        return rows.select_related("changed_by")

    def page_context(self, request: HttpRequest, row: Webhook | None) -> dict[str, Any]:
        if row is None or not request.user.has_perm("scenarios.view_delivery"):
            return {}
        rows = row.deliveries.select_related("run").defer("run__document", "payload")
        return {"deliveries": rows[:LAST_DELIVERIES]}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.shown_secret = webhooks.save_webhook(obj, by=cast("User", request.user))

    def delete_row(self, row: Webhook, *, by: User) -> None:
        deletion_requests.delete_or_request(row, by=by)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if not obj.shown_secret:
            return super().response_add(request, obj, post_url_continue)
        return self.show_secret(request, obj, obj.shown_secret)

    def show_secret(self, request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
        """The only response that holds the secret. Browsers do not store it: no admin page is cached."""
        return self.render(
            request,
            "admin/scenarios/webhook/secret.html",
            f"The secret of {webhook.name}",
            webhook=webhook,
            secret=secret,
            hours=round(webhooks.EARLIER_SECRET_SIGNS.total_seconds() / 3600),
        )

    @button("<int:pk>/secret/", permission=CHANGE)
    def change_secret(self, request: HttpRequest, webhook: Webhook) -> HttpResponse:
        secret = webhooks.change_secret(webhook, by=cast("User", request.user))
        self.log_change(request, webhook, "Created a new secret.")
        return self.show_secret(request, webhook, secret)

    @button("<int:pk>/test/", permission=CHANGE)
    def send_test(self, request: HttpRequest, webhook: Webhook) -> None:
        if webhook.is_enabled:
            webhooks.send_test(webhook)
            self.message_user(request, "Test message sent. Reload this page in a second to see the result.")
        else:
            sentence = "Nothing was sent, because this webhook is disabled."
            self.message_user(request, sentence, messages.WARNING)
