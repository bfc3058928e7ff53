"""Approvals: what waits for a second person, what it would break, and what was decided."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.domain.errors import InvalidDocument, InvalidVariables, NotWaiting, OwnRequest
from scenarios.domain.outcomes import ApprovalState
from scenarios.library.dry_run import steps_of
from scenarios.models import Approval, ApprovalQuerySet
from scenarios.pictures.badges import badge
from scenarios.pictures.plan_timeline import plan_timeline
from scenarios.planning import approvals

BADGES = {
    ApprovalState.APPROVED: "passed",
    ApprovalState.REFUSED: "failed",
    ApprovalState.EXPIRED: "timed_out",
    ApprovalState.WITHDRAWN: "aborted",
}


class DecisionForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Needed to refuse. It is kept with your name, and stands in the run's report.",
    )


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    list_display = ["asked_for", "standing", "touches", "asked_by_name", "asked_at", "decided", "reason"]
    list_display_links = None
    list_filter = ["state"]
    list_per_page = 50
    show_full_result_count = False
    ordering = [Case(When(state=ApprovalState.PENDING, then=0), default=1).asc(), "-asked_at"]
    change_form_template = "admin/scenarios/approval/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return cast("ApprovalQuerySet", super().get_queryset(request)).for_a_list()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Approvals", **(extra_context or {})})

    @admin.display(description="asked for")
    def asked_for(self, approval: Approval) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:scenarios_approval_change", args=[approval.pk]), approval
        )

    @admin.display(description="state", ordering="state")
    def standing(self, approval: Approval) -> SafeString:
        return standing(approval)

    @admin.display(description="touches")
    def touches(self, approval: Approval) -> str:
        return ", ".join(approval.services)

    @admin.display(description="decided by", ordering="decided_at")
    def decided(self, approval: Approval) -> str:
        return approval.decided_by_name or "-"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:pk>/approve/", view(self.approve_view), name="scenarios_approval_approve"),
            path("<int:pk>/refuse/", view(self.refuse_view), name="scenarios_approval_refuse"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        approval: Approval | None = self.get_object(request, unquote(object_id))
        if approval is None:
            raise Http404(f"there is no approval {object_id!r}")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Approval: {approval}",
            "opts": self.opts,
            "approval": approval,
            "standing": standing(approval),
            "is_pending": approval.state == ApprovalState.PENDING,
            "may_approve": request.user.has_perm(approvals.PERMISSION),
            "is_own": request.user.pk in approvals.requesters(approval),
            "form": DecisionForm(),
            **planned(approval),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.change_form_template, context)

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        approval, reason = self.to_decide(request, pk)
        try:
            approvals.approve(approval, by=cast("User", request.user), reason=reason)
        except (NotWaiting, OwnRequest) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"You approved {approval}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scenarios_approval_change", args=[pk]))

    def refuse_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        approval, reason = self.to_decide(request, pk)
        if not reason:
            words = "A refusal needs a reason: whoever asked will want to know what to change."
            self.message_user(request, words, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:scenarios_approval_change", args=[pk]))
        try:
            approvals.refuse(approval, by=cast("User", request.user), reason=reason)
        except NotWaiting as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"{approval} is refused.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scenarios_approval_change", args=[pk]))

    def to_decide(self, request: HttpRequest, pk: int) -> tuple[Approval, str]:
        if request.method != "POST" or not request.user.has_perm(approvals.PERMISSION):
            raise PermissionDenied
        form = DecisionForm(request.POST)
        reason = form.cleaned_data["reason"].strip() if form.is_valid() else ""
        return get_object_or_404(Approval.objects.select_related("run", "schedule"), pk=pk), reason


def standing(approval: Approval) -> SafeString:
    if approval.state == ApprovalState.PENDING:
        return badge("awaiting_approval")
    return badge(BADGES[ApprovalState(approval.state)], approval.get_state_display())


def planned(approval: Approval) -> dict[str, Any]:
    """What would be done: of a decided run what was approved, of a schedule what it is now."""
    try:
        plan = approvals.plan_of(approval)
    except (InvalidDocument, InvalidVariables) as error:
        return {"problem": f"it cannot be run as it is now: {error}"}
    if plan is None:
        return {"problem": "its scenario is not stored any more"}
    steps = list(steps_of(plan))
    return {"plan": plan_timeline(plan), "steps": steps, "variables": approvals.variables_of(approval)}
