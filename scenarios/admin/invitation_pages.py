"""Invitations: made with groups, their link shown once or sent by e-mail, and withdrawn."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from scenarios.access import invitations
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.domain.counts import format_count
from scenarios.models import Invitation
from scenarios.notifications.channels.mail import MailNotSent
from scenarios.notifications.invitation_mail import may_send, send_invitation

MAX_DAYS = 30
SHOWN: Any = ["__str__", "group_list", "state", "invited_by", "created_at", "expires_at"]


class InvitationForm(forms.ModelForm[Invitation]):
    groups = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        help_text="What the invited person may do. You cannot give permissions that you do not have.",
    )
    days = forms.IntegerField(label="Expires after (days)", min_value=1, max_value=MAX_DAYS, initial=7)

    class Meta:
        model = Invitation
        fields = ["email"]

    def __init__(self, *arguments: Any, by: User, **named: Any) -> None:
        super().__init__(*arguments, **named)
        names = [group.name for group in invitations.list_grantable_groups(by)]
        cast("forms.MultipleChoiceField", self.fields["groups"]).choices = [(name, name) for name in names]
        self.fields["email"].help_text = (
            "The link is sent there. Leave it empty to see the link here, and to pass it on yourself."
            if may_send()
            else "Only a note: no mail server is configured, so you pass on the link yourself."
        )


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    empty_hint = "Add one to let somebody choose a name and a password."
    list_display = SHOWN
    list_per_page = 50
    fields = SHOWN
    actions = ["withdraw"]

    # Those who may add users may invite them.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth.add_user")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("auth.add_user")

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth.add_user")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("auth.add_user")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **options)
        by = cast("User", request.user)

        class Form(InvitationForm):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, by=by, **named)

        return Form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["email", "groups", "days"] if obj is None else SHOWN

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"show_save_and_add_another": False, "show_save_and_continue": False}

    @admin.display(description="groups")
    def group_list(self, invitation: Invitation) -> str:
        return ", ".join(invitation.groups)

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        sent = form.cleaned_data
        lasts, by = timedelta(days=sent["days"]), cast("User", request.user)
        made, word = invitations.create_invitation(by, sent["groups"], lasts, email=sent["email"])
        obj.pk = made.pk
        obj.refresh_from_db()
        obj.word = word  # type: ignore[attr-defined] # only for the page that shows the link

    def response_add(
        self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The only page that shows the link. Not a redirect, because the link would have to be stored."""
        word = obj.word  # type: ignore[attr-defined]
        # By the address that this page was asked at, which reaches the site.
        link = request.build_absolute_uri(reverse("invitation_link", args=[word]))
        is_sent = bool(obj.email) and may_send() and self._send(request, obj, link)
        template = "admin/scenarios/invitation/made.html"
        shown = {"invitation": obj, "link": "" if is_sent else link}
        return self.render(request, template, "Invitation sent" if is_sent else "Pass on this link", **shown)

    def _send(self, request: HttpRequest, invitation: Invitation, link: str) -> bool:
        try:
            send_invitation(invitation, link)
        except MailNotSent as error:
            self.message_user(request, f"Not sent: {error}.", messages.ERROR)
            return False
        return True

    @admin.action(description="Withdraw", permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        count = invitations.withdraw_invitations(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{format_count(count, 'invitation')} withdrawn.".capitalize())
