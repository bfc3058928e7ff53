"""The ledger of faults, and what a person can do about the outstanding ones."""

from typing import Any

import yaml
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import STATES_AWAITED, FaultState
from scenarios.models import Fault
from scenarios.pictures.badges import badge
from scenarios.runs import faults as fault_commands

BADGES = {
    FaultState.UNDONE: "passed",
    FaultState.ACTIVE: "running",
    FaultState.INJECTING: "running",
    FaultState.OUTSTANDING: "dirty",
    FaultState.UNVERIFIED: "unverified",
    FaultState.WATCHED: "unverified",
    FaultState.NOT_INJECTED: "aborted",
    FaultState.ACKNOWLEDGED: "interrupted",
}


class LeftBehindFilter(admin.SimpleListFilter):
    title = "what is left"
    parameter_name = "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "outstanding")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        left = Fault.objects.outstanding().values("pk")
        return queryset.filter(pk__in=left) if self.value() else queryset


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="How do you know that it is gone?",
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It is kept in the ledger and in the run's journal, with your name.",
    )


@admin.register(Fault)
class FaultAdmin(ReadOnlyAdmin):
    list_display = [
        *(
            "action",
            "standing",
            "run_link",
            "injected_by",
            "where",
            "opened_at",
            "lived",
            "undone",
            "reason",
        )
    ]
    list_filter = [LeftBehindFilter, "state", "driver", "service"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["action", "service", "reason"]
    fields = ["action"]
    actions = ["try_again"]
    change_form_template = "admin/scenarios/fault/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fault]:
        rows: QuerySet[Fault] = super().get_queryset(request)
        return rows.select_related("run__started_by").defer("run__document", "run__variables")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Faults", **(extra_context or {})})

    @admin.display(description="state", ordering="state")
    def standing(self, fault: Fault) -> SafeString:
        return badge(BADGES[FaultState(fault.state)], fault.standing)

    @admin.display(description="run", ordering="run")
    def run_link(self, fault: Fault) -> SafeString:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:scenarios_run_change", args=[fault.run_id]), fault.run
        )

    @admin.display(description="by")
    def injected_by(self, fault: Fault) -> str:
        return fault.run.started_in_words

    @admin.display(ordering="service")
    def where(self, fault: Fault) -> str:
        return fault.place

    @admin.display(description="how it was undone")
    def undone(self, fault: Fault) -> str:
        return how_undone(fault)

    @admin.display(description="lived")
    def lived(self, fault: Fault) -> str:
        if fault.injected_at is None:
            return "-"
        length = (fault.closed_at or timezone.now()) - fault.injected_at
        so_far = "" if fault.closed_at else " so far"
        return f"{format_duration(round(length.total_seconds(), 1))}{so_far}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:pk>/retry/", view(self.retry_view), name="scenarios_fault_retry"),
            path("<int:pk>/acknowledge/", view(self.acknowledge_view), name="scenarios_fault_acknowledge"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        fault: Fault | None = self.get_object(request, unquote(object_id))
        more = {
            "may_stop": request.user.has_perm("scenarios.stop_run"),
            "may_acknowledge": request.user.has_perm("scenarios.acknowledge_fault"),
            "is_outstanding": fault is not None and fault.is_outstanding,
            "is_awaited": fault is not None and fault.state in STATES_AWAITED,
            "standing": self.standing(fault) if fault is not None else "",
            "lived": self.lived(fault) if fault is not None else "",
            "how_undone": how_undone(fault) if fault is not None else "",
            "injected_by": self.injected_by(fault) if fault is not None else "",
            "undo": yaml.safe_dump(fault.undo, sort_keys=False, allow_unicode=True)
            if fault is not None
            else "",
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    @admin.action(description="Try the undo again now", permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Fault]) -> None:
        if not request.user.has_perm("scenarios.stop_run"):
            raise PermissionDenied
        count = fault_commands.retry_undo(queryset)
        self.message_user(
            request, f"{count} outstanding faults are due: the watchdog tries them within a second."
        )

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm("scenarios.stop_run") or request.method != "POST":
            raise PermissionDenied
        rows = Fault.objects.filter(pk=pk)
        if fault_commands.retry_undo(rows):
            host = rows.values_list("host", flat=True).get()
            who = f"The watchdog of host {host}" if host else "The watchdog"
            self.message_user(request, f"{who} tries it again within a second.")
        else:
            self.message_user(request, "It is not outstanding: there is nothing to undo.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:scenarios_fault_change", args=[pk]))

    def acknowledge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for a reason, then takes the fault out of the ledger by this person's word."""
        if not request.user.has_perm("scenarios.acknowledge_fault"):
            raise PermissionDenied
        fault = get_object_or_404(Fault.objects.select_related("run"), pk=pk)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            by, reason = request.user.get_username(), form.cleaned_data["reason"]
            if fault_commands.acknowledge_fault(fault, by=by, reason=reason):
                self.message_user(request, "The fault is acknowledged, by your word.", messages.SUCCESS)
            else:
                words = "It is not outstanding, or its undo is being tried this moment: look again."
                self.message_user(request, words, messages.WARNING)
            return HttpResponseRedirect(reverse("admin:scenarios_fault_change", args=[pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Acknowledge: {fault.action}",
            "opts": self.opts,
            "fault": fault,
            "is_outstanding": fault.is_outstanding,
            "form": form,
        }
        return TemplateResponse(request, "admin/scenarios/fault/acknowledge.html", context)


def how_undone(fault: Fault) -> str:
    """By whom, in a few words, and after how many tries that failed."""
    failed = f", after {fault.undo_tries} tries that failed" if fault.undo_tries else ""
    if fault.state == FaultState.ACKNOWLEDGED:
        return f"acknowledged by {fault.acknowledged_by}{failed}"
    if fault.state == FaultState.NOT_INJECTED:
        return "nothing was injected"
    if fault.state in STATES_AWAITED:
        seen = "seen to be gone" if fault.state == FaultState.WATCHED else "its undo has succeeded"
        return (
            f"{seen}, but its injection was never answered: it is undone again when it cannot arrive any more"
        )
    if fault.state != FaultState.UNDONE or fault.closed_at is None:
        return f"not yet; tries that failed: {fault.undo_tries}" if fault.undo_tries else "not yet"
    ended = fault.run.finished_at
    by = "after the run had ended" if ended and fault.closed_at > ended else "by its run"
    return f"{by}, with {fault.undo['driver']}{failed}"
