"""The machines that scenarios inject faults on: whether they can be reached, and which run holds them."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.pages import link, page
from scenarios.control_room import home_queries
from scenarios.domain.errors import AddressProtected
from scenarios.drivers.hosts import format_target
from scenarios.library import hosts as registered_hosts
from scenarios.library.host_checks import check_host
from scenarios.models import Host
from scenarios.models.hosts import check_labels
from scenarios.pictures.badges import badge

PROTECT = "scenarios.protect_host"


class HostForm(forms.ModelForm):
    """Labels are entered as lines. People who may not protect hosts cannot use a protected one's address."""

    may_protect = False
    labels_text = forms.CharField(
        label="Labels",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "role=shop", "spellcheck": "false"}),
        help_text="One name=value per line. Scenarios select hosts by them.",
    )

    class Meta:
        model = Host
        fields = ["name", "address", "description", "is_protected"]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "labels_text" in self.fields:  # absent for people who may only view
            labels = self.instance.labels.items()
            self.fields["labels_text"].initial = "\n".join(f"{name}={value}" for name, value in labels)

    def clean_labels_text(self) -> str:
        text: str = self.cleaned_data["labels_text"]
        labels: dict[str, str] = {}
        for line in filter(str.strip, text.splitlines()):
            name, equals, value = (part.strip() for part in line.partition("="))
            if not equals or not name:
                raise ValidationError(f"{line[:80]!r} is not a label; write it as name=value.")
            if name in labels:
                raise ValidationError(f"The label {name[:80]!r} is given twice.")
            labels[name] = value
        check_labels(labels)
        self.instance.labels = labels
        return text

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.may_protect and "address" in self.cleaned_data and self._moves():
            name = self.cleaned_data.get("name", self.instance.name)
            try:
                registered_hosts.check_address(Host(name=name, address=self.cleaned_data["address"]))
            except AddressProtected as error:
                self.add_error("address", str(error))
        return cleaned

    def _moves(self) -> bool:
        return self.instance.pk is None or "address" in self.changed_data


class HostFormOfProtector(HostForm):
    may_protect = True


@admin.register(Host)
class HostAdmin(DeletedByServiceAdmin):
    empty_hint = "Add a machine to inject faults on it."
    form = HostForm
    list_display = ["name", "place", "labels_in_words", "protection", "held_by", "description"]
    list_filter = ["is_protected"]
    fields = ["name", "address", "labels_text", "description", "is_protected"]
    search_fields = ["name", "address", "description"]
    change_form_template = "admin/scenarios/host/change_form.html"
    list_per_page = 50

    def find_obstacles(self, rows: Sequence[Host]) -> dict[Any, str]:
        held = home_queries.find_holders()
        holders = {row.pk: held.get(format_target(row.name)) for row in rows}
        return {key: f"it is held by {run}" for key, run in holders.items() if run is not None}

    def add_to_rows(self, rows: list[Any]) -> None:
        held = home_queries.find_holders()
        for row in rows:
            row.holder = held.get(format_target(row.name))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        if row is None:
            return {}
        self.add_to_rows([row])
        return {"held_by": self.held_by(row)}

    # Moving or deleting a protected host would be a way around its protection.

    def get_fields(self, request: HttpRequest, obj: Host | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fields
        return ["name", "address", "labels_in_words", "description", "is_protected"]

    def get_readonly_fields(self, request: HttpRequest, obj: Host | None = None) -> list[str]:
        fixed = ["name"] if obj is not None else []  # runs hold a host by its name
        if not request.user.has_perm(PROTECT):
            fixed.append("is_protected")
        if obj is not None and not self.has_change_permission(request, obj):
            fixed.append("labels_in_words")
        return fixed

    def get_form(self, request: HttpRequest, *arguments: Any, **named: Any) -> type[forms.ModelForm]:
        form = HostFormOfProtector if request.user.has_perm(PROTECT) else HostForm
        return super().get_form(request, *arguments, **{"form": form, **named})

    def has_change_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, host: Host | None) -> bool:
        return host is None or not host.is_protected or request.user.has_perm(PROTECT)

    def save_model(self, request: HttpRequest, obj: Host, form: Any, change: bool) -> None:
        registered_hosts.save_host(obj)

    def delete_row(self, row: Host, *, by: User) -> None:
        registered_hosts.delete_host(row)

    @admin.display(description="SSH address", ordering="address")
    def place(self, host: Host) -> str:
        return host.address or "the worker's own machine"

    @admin.display(description="labels")
    def labels_in_words(self, host: Host) -> str:
        return ", ".join(f"{name}={value}" for name, value in host.labels.items()) or "-"

    @admin.display(description="protection", ordering="is_protected")
    def protection(self, host: Host) -> SafeString | str:
        return badge("protected") if host.is_protected else "-"

    @admin.display(description="held by")
    def held_by(self, host: Any) -> str:
        return link(host.holder) if host.holder is not None else "-"

    @page("<int:pk>/test/", post_only=True)
    def test_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Whether the coordinator reaches the host, and what the host program says of it."""
        context = {"findings": check_host(get_object_or_404(Host, pk=pk))}
        return TemplateResponse(request, "admin/scenarios/findings.html", context)
