"""API tokens: created for yourself, shown once, revoked."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from scenarios.access import tokens as api_tokens
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models.access import ApiToken

MAX_DAYS = 3650
SHOWN: Any = ["name", "owner", "beginning", "scope_list", "state", "created_at", "expires_at", "last_used_at"]


class TokenForm(forms.ModelForm[ApiToken]):
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {words}") for scope, words in api_tokens.SCOPE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text="The token permits only what its scopes and your own permissions both permit.",
    )
    days = forms.IntegerField(
        label="Expires after (days)",
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
        initial=90,
        help_text="Leave empty for a token that never expires.",
    )

    class Meta:
        model = ApiToken
        fields = ["name"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    empty_hint = "Add one for each program that uses the API."
    list_display = SHOWN
    list_select_related = ["owner"]
    list_per_page = 50
    fields = SHOWN
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.add_apitoken")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scenarios.change_apitoken")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """A person's own tokens; all of them for a superuser."""
        tokens: QuerySet[ApiToken] = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(owner=request.user.pk)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        return TokenForm if obj is None else super().get_form(request, obj, change, **options)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["name", "scopes", "days"] if obj is None else SHOWN

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        days = form.cleaned_data["days"]
        made, secret = api_tokens.create_token(
            # Only for yourself: with another person's token you could do what only they may do.
            cast("User", request.user),
            form.cleaned_data["name"],
            form.cleaned_data["scopes"],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )
        obj.pk = made.pk
        obj.refresh_from_db()
        obj.secret = secret  # type: ignore[attr-defined] # only for the page that shows it

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The only page that shows the token. Not a redirect, because the token would have to be stored."""
        secret = obj.secret  # type: ignore[attr-defined]
        template = "admin/scenarios/apitoken/made.html"
        return self.render(request, template, "Copy your new token", token=obj, secret=secret)

    @admin.action(description="Revoke permanently", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        revoked = sum(api_tokens.revoke_token(token) for token in queryset)
        self.message_user(request, f"{revoked} token{'' if revoked == 1 else 's'} revoked.")
