"""Allow lists: what steps may do on this machine, and where they may connect to."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html_join

from scenarios.admin.pages import PageAdmin, button
from scenarios.domain.allow_lists import MAX_ENTRIES, MAX_ENTRY_LENGTH, InvalidEntries, ListName
from scenarios.library import allow_lists
from scenarios.models import AllowList

CHANGE = "scenarios.change_allowlist"
SHOWN = ["explanation", "setting_allows", "allowed_now"]
FIELDS = ["explanation", "setting_allows", "lines", "seen"]
MAX_TEXT = MAX_ENTRIES * (MAX_ENTRY_LENGTH + 2)
EXPLANATIONS = {
    ListName.COMMANDS: (
        "Executables that 'command' steps may run. Variables that steps may set follow after colons, as in "
        "kubectl:HTTPS_PROXY."
    ),
    ListName.PIDFILE_DIRS: "Folders: 'signal' steps reach processes that a pid file there names.",
    ListName.NETWORKS: "Networks that steps may connect to, as 10.1.0.0/16.",
}


class AllowListForm(forms.ModelForm[AllowList]):
    lines = forms.CharField(
        label="Allowed now",
        required=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 8, "cols": 60, "spellcheck": "false"}),
        help_text=(
            "One on each line; without any, nothing is allowed. Takes effect at once. Undos of injected "
            "faults are never refused."
        ),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    by = ""

    class Meta:
        model = AllowList
        fields: tuple[str, ...] = ()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if "lines" in self.fields:  # absent for people who may only view
            allowed = "\n".join(allow_lists.describe(self.instance).allowed)
            self.initial.update(lines=allowed, seen=allowed)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "lines" not in cleaned:
            return cleaned
        lines, seen = (_split(cleaned.get(name, "")) for name in ("lines", "seen"))
        try:
            self.instance = allow_lists.replace_entries(
                ListName(self.instance.name), lines, by=self.by, seen=seen
            )
        except InvalidEntries as error:
            raise ValidationError({"lines": [f"{sentence}." for _index, sentence in error.errors]}) from error
        except allow_lists.ChangedMeanwhile as error:
            raise ValidationError(str(error)) from error
        return cleaned


def _split(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@admin.register(AllowList)
class AllowListAdmin(PageAdmin):
    form = AllowListForm
    list_display = ["name", "allowed_now", "setting_allows", "changed_by", "changed_at"]
    readonly_fields = SHOWN
    change_form_template = "admin/scenarios/allowlist/change_form.html"
    ordering = ["name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AllowList | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: AllowList | None = None) -> Any:
        return FIELDS if self.has_change_permission(request, obj) else SHOWN

    def get_form(self, request: HttpRequest, *arguments: Any, **named: Any) -> Any:
        form = super().get_form(request, *arguments, **named)
        return type("FormOfPerson", (form,), {"by": request.user.get_username()})

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"state": allow_lists.describe(row)} if row is not None else {}

    def save_model(self, request: HttpRequest, obj: AllowList, form: Any, change: bool) -> None:
        """The form has stored it, with the check whether somebody else was faster."""

    @button("<slug:pk>/reset/", permission=CHANGE)
    def reset(self, request: HttpRequest, row: AllowList) -> None:
        allow_lists.replace_entries(ListName(row.name), None, by=request.user.get_username())
        self.message_user(request, f"All that the setting allows is allowed again: {row}.", messages.SUCCESS)

    @admin.display(description="allowed now")
    def allowed_now(self, row: AllowList) -> str:
        state = allow_lists.describe(row)
        return _list_lines(state.allowed) if state.entries is not None else "all that the setting allows"

    @admin.display(description="the setting allows")
    def setting_allows(self, row: AllowList) -> str:
        state = allow_lists.describe(row)
        return _list_lines([f"{state.setting}:", *(state.bound or ["nothing"])])

    @admin.display(description="what it limits")
    def explanation(self, row: AllowList) -> str:
        return EXPLANATIONS[ListName(row.name)]


def _list_lines(entries: Any) -> str:
    return format_html_join(" ", "<span>{}</span>", ((entry,) for entry in entries)) or "nothing"
