"""Webhooks: who is told of runs. The secret is shown once, on the answer to the form that made it."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.control_room.webhook_forms import WebhookForm
from scenarios.models import Webhook
from scenarios.notifications import webhooks
from scenarios.pictures.badges import badge

CHANGE = "scenarios.change_webhook"
LAST_DELIVERIES = 10


@admin.register(Webhook)
class WebhookAdmin(DeletedByServiceAdmin):
    form = WebhookForm
    list_display = ["name", "url", "told_of", "standing", "last_answer"]
    search_fields = ["name", "url"]
    list_per_page = 50
    change_list_template = "admin/scenarios/webhook/change_list.html"
    change_form_template = "admin/scenarios/webhook/change_form.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Webhooks", **(extra_context or {})})

    @admin.display(description="told of")
    def told_of(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events)

    @admin.display(description="state", ordering="is_enabled")
    def standing(self, webhook: Webhook) -> SafeString:
        return badge("passed", "enabled") if webhook.is_enabled else badge("aborted", "disabled")

    @admin.display(description="last delivery")
    def last_answer(self, webhook: Webhook) -> str:
        last = webhook.deliveries.defer("payload").first()
        return f"{last.state}, {last.created_at:%Y-%m-%d %H:%M}" if last is not None else "-"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:pk>/test/", view(self.test_view), name="scenarios_webhook_test"),
            path("<int:pk>/secret/", view(self.secret_view), name="scenarios_webhook_secret"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        webhook: Webhook | None = self.get_object(request, unquote(object_id))
        more: dict[str, Any] = {"may_change": request.user.has_perm(CHANGE)}
        if webhook is not None and request.user.has_perm("scenarios.view_delivery"):
            more["deliveries"] = webhook.deliveries.select_related("run").defer("run__document", "payload")[
                :LAST_DELIVERIES
            ]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.shown_secret = webhooks.save_webhook(obj, by=cast("User", request.user))

    def take_away(self, row: Webhook) -> None:
        webhooks.delete_webhook(row)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self.secret_page(request, obj, obj.shown_secret)

    def secret_page(self, request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
        """The one answer that holds the secret; no browser keeps it, as no page of the admin's."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"The secret of {webhook.name}",
            "opts": self.opts,
            "webhook": webhook,
            "secret": secret,
            "hours": round(webhooks.EARLIER_SECRET_SIGNS.total_seconds() / 3600),
        }
        return TemplateResponse(request, "admin/scenarios/webhook/secret.html", context)

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        webhook = self._posted(request, pk)
        secret = webhooks.change_secret(webhook, by=cast("User", request.user))
        self.log_change(request, webhook, "Made a new secret.")
        return self.secret_page(request, webhook, secret)

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        webhook = self._posted(request, pk)
        if webhook.is_enabled:
            webhooks.send_test(webhook)
            self.message_user(
                request, "A test is on its way: reload this page in a second or two to see how it ended."
            )
        else:
            self.message_user(request, "It is disabled: nothing is sent to it.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scenarios_webhook_change", args=[pk]))

    def _posted(self, request: HttpRequest, pk: int) -> Webhook:
        if request.method != "POST" or not request.user.has_perm(CHANGE):
            raise PermissionDenied
        return get_object_or_404(Webhook, pk=pk)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        rows: QuerySet[Webhook] = super().get_queryset(request)
        return rows.select_related("changed_by")
