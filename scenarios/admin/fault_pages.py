"""The ledger of faults, and what a person can do about outstanding ones."""

from typing import Any

import yaml
from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from scenarios.admin.filtered_lists import NameOfServiceFilter
from scenarios.admin.pages import address, button, link, page
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.control_room.searches import MAX_SEARCHED, search_faults
from scenarios.control_room.system_state import describe_retries
from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import STATES_AWAITED, FaultState
from scenarios.drivers.installed import installed_drivers
from scenarios.models import Fault
from scenarios.pictures.badges import badge
from scenarios.runs import faults as fault_commands
from scenarios.supervision import readiness

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


# Sent with a button, where it is not on the fault's own page.
PAGES_BEHIND = ("back_to_home", "back_to_run")


class OutstandingFilter(admin.SimpleListFilter):
    title = "outstanding"
    parameter_name = "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        if not self.value():
            return queryset
        # There are few. With a subquery, the database would look at each fault in the order of the list.
        return queryset.filter(
            pk__in=list(Fault.objects.outstanding().order_by().values_list("pk", flat=True))
        )


class DriverFilter(admin.SimpleListFilter):
    """Collecting the names from the faults would read all of them."""

    title = "driver"
    parameter_name = "driver"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(installed_drivers())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        return queryset.filter(driver=self.value()) if self.value() else queryset


class ServiceFilter(NameOfServiceFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        return queryset.filter(service=self.value()) if self.value() else queryset


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="How do you know that the fault is gone?",
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stored with your name in the ledger and among the run's events.",
    )


@admin.register(Fault)
class FaultAdmin(ReadOnlyAdmin):
    empty_hint = "What runs inject is listed here."
    list_display = [
        *("action", "badge", "run_link", "injected_by", "where"),
        *("opened_at", "lasted", "undone", "reason"),
    ]
    list_filter = [OutstandingFilter, "state", DriverFilter, ServiceFilter]
    ordering = ("-id",)  # nearly that of `opened_at`, and each filter has an index with it
    sortable_by = ("opened_at",)  # by an index
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("action",)
    search_hint = (
        f"Part of an action, a service or a reason, among the newest {MAX_SEARCHED:,} faults, or the "
        "beginning of a run's ID."
    )
    fields = ["action"]
    actions = ["retry_selected"]
    change_form_template = "admin/scenarios/fault/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fault]:
        rows: QuerySet[Fault] = super().get_queryset(request)
        return rows.select_related("run__started_by").defer(
            "run__document", "run__included", "run__variables"
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Fault], search_term: str
    ) -> tuple[QuerySet[Fault], bool]:
        return search_faults(queryset, search_term), False

    @admin.display(description="state", ordering="state")
    def badge(self, fault: Fault) -> SafeString:
        return badge(BADGES[FaultState(fault.state)], fault.status)

    @admin.display(description="run", ordering="run")
    def run_link(self, fault: Fault) -> SafeString:
        return link(fault.run)

    @admin.display(description="injected by")
    def injected_by(self, fault: Fault) -> str:
        return fault.run.started_in_words

    @admin.display(ordering="service")
    def where(self, fault: Fault) -> str:
        return fault.place

    @admin.display(description="undone")
    def undone(self, fault: Fault) -> str:
        return describe_undo(fault)

    @admin.display(description="duration")
    def lasted(self, fault: Fault) -> str:
        if fault.injected_at is None:
            return "-"
        length = (fault.closed_at or timezone.now()) - fault.injected_at
        so_far = "" if fault.closed_at else " so far"
        return f"{format_duration(round(length.total_seconds(), 1))}{so_far}"

    def page_context(self, request: HttpRequest, row: Fault | None) -> dict[str, Any]:
        if row is None:
            return {}
        return {
            "is_outstanding": row.is_outstanding,
            "is_awaited": row.state in STATES_AWAITED,
            "seen": mark_fault(row),
            "retries": describe_retries([row]) if row.is_outstanding else "",
            "badge": self.badge(row),
            "lasted": self.lasted(row),
            "undone": describe_undo(row),
            "injected_by": self.injected_by(row),
            "undo": yaml.safe_dump(row.undo, sort_keys=False, allow_unicode=True),
        }

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.stop_run")

    @admin.action(description="Retry the undo now", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Fault]) -> None:
        hosts = sorted(set(queryset.exclude(host="").values_list("host", flat=True)))
        if count := fault_commands.retry_undo(queryset):
            undos = "The undo" if count == 1 else f"{count} undos"
            by = f" by the watchdog of host {', '.join(hosts)}" if hosts else ""
            if problem := readiness.find_problem(readiness.watchdog):
                which = "it" if by else "a watchdog"
                sentence = f"{undos} will be retried{by} as soon as {which} works: {problem}."
                self.message_user(request, sentence, messages.WARNING)
            else:
                self.message_user(request, f"{undos} will be retried within a second{by}.")
        elif Fault.objects.outstanding().filter(id__in=queryset.values("id")).exists():
            sentence = "Its run goes on and retries the undo by itself. To end the run first, stop it."
            self.message_user(request, sentence, messages.WARNING)
        else:
            self.message_user(request, "No outstanding fault: there is nothing to undo.", messages.WARNING)

    @button("<int:pk>/retry/", permission="retry")
    def retry(self, request: HttpRequest, fault: Fault) -> HttpResponse:
        self.retry_selected(request, Fault.objects.filter(pk=fault.pk))
        return HttpResponseRedirect(find_page_after(request, fault))

    @page("<int:pk>/changed/")
    def changed_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Whether the page should be loaded again, because the fault was tried or closed; 204 if not."""
        fault = get_object_or_404(self.get_queryset(request), pk=pk)
        if mark_fault(fault) == request.GET.get("seen", ""):
            return HttpResponse(status=204)
        return HttpResponse(headers={"HX-Refresh": "true"})

    @page("<int:pk>/acknowledge/", permission="scenarios.acknowledge_fault")
    def acknowledge_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks how the person knows that the fault is gone, then closes it."""
        fault = get_object_or_404(Fault.objects.select_related("run"), pk=pk)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            template = "admin/scenarios/fault/acknowledge.html"
            words = {**request.GET.dict(), **request.POST.dict()}
            back = next((word for word in PAGES_BEHIND if word in words), "")
            title = f"Acknowledge: {fault.action}"
            return self.render(request, template, title, fault=fault, form=form, back=back)
        by, reason = request.user.get_username(), form.cleaned_data["reason"]
        if fault_commands.acknowledge_fault(fault, by=by, reason=reason):
            self.message_user(request, "Fault acknowledged.", messages.SUCCESS)
        else:
            sentence = "Not acknowledged: the fault is not outstanding, or its undo is running now."
            self.message_user(request, sentence, messages.WARNING)
        return HttpResponseRedirect(find_page_after(request, fault))


def mark_fault(fault: Fault) -> str:
    """What a browser has seen of the fault."""
    return f"{fault.state}.{fault.undo_tries}.{fault.has_expired:d}"


def find_page_after(request: HttpRequest, fault: Fault) -> str:
    """The page that has the button: Home, that of the run, or of the fault."""
    if "back_to_home" in request.POST:
        return reverse("admin:index")
    return address(fault.run if "back_to_run" in request.POST else fault)


def describe_undo(fault: Fault) -> str:
    """Who or what undid the fault, and after how many failed tries."""
    tries = fault.undo_tries
    failed = f", after {tries} failed {'try' if tries == 1 else 'tries'}" if tries else ""
    if fault.state == FaultState.ACKNOWLEDGED:
        return f"acknowledged by {fault.acknowledged_by}{failed}"
    if fault.state == FaultState.NOT_INJECTED:
        return "never injected"
    if fault.state in STATES_AWAITED:
        seen = "seen to be gone" if fault.state == FaultState.WATCHED else "undo succeeded"
        return f"{seen}, but the injection was never answered: undone again once it can no longer arrive"
    if fault.state != FaultState.UNDONE or fault.closed_at is None:
        return f"not yet{failed}"
    ended = fault.run.finished_at
    by = "after the run ended" if ended and fault.closed_at > ended else "by its run"
    return f"{by}, with {fault.undo['driver']}{failed}"
