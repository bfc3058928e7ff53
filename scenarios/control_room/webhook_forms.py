"""The form of a webhook. Its address must pass the same check as when a message is sent."""

from typing import Any

from django import forms

from scenarios.domain.webhooks import SUBSCRIBABLE, WebhookKind
from scenarios.models import Webhook
from scenarios.notifications.addresses import ReceiverRefused, check_receiver

KINDS = {
    WebhookKind.WEBHOOK: "Webhook, signed JSON",
    WebhookKind.SLACK: "Slack",
    WebhookKind.TEAMS: "Microsoft Teams",
    WebhookKind.PAGERDUTY: "PagerDuty",
    WebhookKind.EMAIL: "E-mail",
}


class WebhookForm(forms.ModelForm[Webhook]):
    kind = forms.ChoiceField(choices=[(kind.value, words) for kind, words in KINDS.items()], label="Kind")
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
        fields = ["name", "kind", "url", "key", "events", "tags", "is_enabled"]
        widgets = {"url": forms.TextInput(attrs={"size": 70, "inputmode": "url"})}
        help_texts = {
            "kind": "Slack: the address of an incoming webhook. Teams: the address of "
            "a workflow that posts to a channel. PagerDuty: https://events.pagerduty.com/v2/enqueue. E-mail: "
            "mailto:oncall@example.com,qa@example.com.",
            "url": "Where the address itself is a secret, write ${secret:NAME}.",
            "key": "Only for PagerDuty: the integration's routing key, as ${secret:NAME}.",
        }

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.initial["tags"] = ", ".join(self.instance.tags)

    def clean_tags(self) -> list[str]:
        return [tag for part in self.cleaned_data["tags"].split(",") if (tag := part.strip())]

    def clean(self) -> dict[str, Any]:
        """Check the receiver as a whole, once each field is valid by itself."""
        cleaned = super().clean() or self.cleaned_data
        fields = ("name", "kind", "url", "key", "events")
        if all(name in cleaned for name in fields):
            try:
                check_receiver(Webhook(**{name: cleaned[name] for name in fields}))
            except ReceiverRefused as error:
                self.add_error(error.field, str(error))
        return cleaned
