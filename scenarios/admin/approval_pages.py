"""Approvals: what waits for a second person, what it would do, and what was decided."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest
from django.utils.safestring import SafeString

from scenarios.admin.pages import button, link
from scenarios.admin.read_only import WithoutFormAdmin
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import ApprovalState
from scenarios.library.dry_run import list_steps
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
        label="Reason",
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Required to refuse. It is stored with your name and shown in the run's report.",
    )


@admin.register(Approval)
class ApprovalAdmin(WithoutFormAdmin):
    empty_hint = "Runs and schedules that act on something protected ask for them."
    list_display = ["requested", "badge", "touches", "asked_by_name", "asked_at", "decided", "reason"]
    list_display_links = None
    list_filter = ["state"]
    list_per_page = 50
    show_full_result_count = False
    ordering = [Case(When(state=ApprovalState.PENDING, then=0), default=1).asc(), "-asked_at"]
    change_form_template = "admin/scenarios/approval/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return cast("ApprovalQuerySet", super().get_queryset(request)).for_a_list()

    @admin.display(description="request")
    def requested(self, approval: Approval) -> SafeString:
        return link(approval)

    @admin.display(description="state", ordering="state")
    def badge(self, approval: Approval) -> SafeString:
        return approval_badge(approval)

    @admin.display(description="services")
    def touches(self, approval: Approval) -> str:
        return ", ".join(approval.services)

    @admin.display(description="decided by", ordering="decided_at")
    def decided(self, approval: Approval) -> str:
        return approval.decided_by_name or "-"

    def page_context(self, request: HttpRequest, row: Approval) -> dict[str, Any]:
        return {
            "title": f"Approval: {row}",
            "approval": row,
            "badge": approval_badge(row),
            "is_pending": row.state == ApprovalState.PENDING,
            "is_own": request.user.pk in approvals.requesters(row),
            "form": DecisionForm(),
            **describe_plan(row),
        }

    @button("<int:pk>/approve/", permission=approvals.PERMISSION)
    def approve(self, request: HttpRequest, approval: Approval) -> None:
        approvals.approve(approval, by=cast("User", request.user), reason=read_reason(request))
        self.message_user(request, f"You approved {approval}.", messages.SUCCESS)

    @button("<int:pk>/refuse/", permission=approvals.PERMISSION)
    def refuse(self, request: HttpRequest, approval: Approval) -> None:
        if not (reason := read_reason(request)):
            sentence = "Enter a reason for refusing, so that the requester knows what to change."
            self.message_user(request, sentence, messages.ERROR)
            return
        approvals.refuse(approval, by=cast("User", request.user), reason=reason)
        self.message_user(request, f"You refused {approval}.", messages.SUCCESS)


def read_reason(request: HttpRequest) -> str:
    form = DecisionForm(request.POST)
    return form.cleaned_data["reason"].strip() if form.is_valid() else ""


def approval_badge(approval: Approval) -> SafeString:
    if approval.state == ApprovalState.PENDING:
        return badge("awaiting_approval")
    return badge(BADGES[ApprovalState(approval.state)], approval.get_state_display())


def describe_plan(approval: Approval) -> dict[str, Any]:
    """What would run: a run's own document, or the present document of a schedule's scenario."""
    try:
        plan = approvals.find_plan(approval)
    except (InvalidDocument, InvalidVariables) as error:
        return {"problem": f"This cannot run as it is now: {error}"}
    if plan is None:
        return {"problem": "The scenario has been deleted."}
    steps = list(list_steps(plan))
    return {"plan": plan_timeline(plan), "steps": steps, "variables": approvals.find_variables(approval)}
