"""The form of a webhook. Its address must pass the same check as when a message is sent."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from scenarios.domain.webhooks import SUBSCRIBABLE
from scenarios.models import Webhook
from scenarios.notifications.webhooks import AddressRefused, check_address


class WebhookForm(forms.ModelForm[Webhook]):
    events = forms.MultipleChoiceField(
        choices=[(message.value, f"{message}: {words}") for message, words in SUBSCRIBABLE.items()],
        widget=forms.CheckboxSelectMultiple,
        label="Events",
    )
    tags = forms.CharField(
        required=False,
        label="Tags",
        help_text="Separate tags with commas. Only runs of scenarios with one of these tags are reported. "
        "Leave empty for all runs.",
    )

    class Meta:
        model = Webhook
        fields = ["name", "url", "events", "tags", "is_enabled"]
        widgets = {"url": forms.URLInput(attrs={"size": 70})}

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.initial["tags"] = ", ".join(self.instance.tags)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_address(url)
        except AddressRefused as error:
            raise ValidationError(str(error)) from error
        return url

    def clean_tags(self) -> list[str]:
        return [tag for part in self.cleaned_data["tags"].split(",") if (tag := part.strip())]
